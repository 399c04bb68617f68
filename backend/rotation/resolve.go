package rotation

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// UnavailableBackoff is how long the engine does not probe root credentials again after the vendor did not
	// answer.
	UnavailableBackoff = 15 * time.Second

	// RejectedBackoff is how long the engine does not try a root credential again that the vendor has
	// rejected: retries must not lock the account.
	RejectedBackoff = 10 * time.Minute

	// resolveTimeout bounds one resolution, for which many requests may wait.
	resolveTimeout = 75 * time.Second
)

// resolver finds out which root credential the vendor accepts after a rotation whose outcome is not known.
type resolver struct {
	flights singleflight.Group

	mu       sync.Mutex
	backoffs map[string]rootBackoff
}

// rootBackoff is the last failure to find out. Probing again too soon could lock an account.
type rootBackoff struct {
	revision string
	until    time.Time
	// err is why requests cannot continue; nil when they can continue with the stored root credential.
	err error
}

// backingOff reports whether a config's root credentials must not be probed now, and why.
func (r *resolver) backingOff(name, revision string, now time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if backoff, ok := r.backoffs[name]; ok && backoff.revision == revision && now.Before(backoff.until) {
		return true, backoff.err
	}
	delete(r.backoffs, name)
	return false, nil
}

func (r *resolver) backOff(name string, backoff rootBackoff) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backoffs[name] = backoff
}

// ResolveRoot finds out which root credential the vendor accepts, once for all requests that ask at the same
// time.
func (r *Rotator) ResolveRoot(ctx context.Context, storage logical.Storage, name string) error {
	done := r.resolver.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(r.Lifetime, resolveTimeout)
		defer cancel()
		return provider.CatchPanic("resolving a rotation", func() (any, error) { return nil, r.probeCandidates(ctx, storage, name) })
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return &provider.Error{
			Class:   provider.ClassUnavailable,
			Message: "the caller gave up before it was known which root credential the vendor accepts", Err: ctx.Err(),
		}
	}
}

// probeCandidates logs in with the root credentials that the vendor may accept in place of the stored one, and
// with the stored one if the vendor rejects the others. A nil error means that requests can continue.
func (r *Rotator) probeCandidates(ctx context.Context, storage logical.Storage, name string) error {
	entry, err := store.ReadConfig(ctx, storage, name)
	if err != nil || entry == nil || len(entry.Root.Candidates) == 0 {
		return err
	}
	if backingOff, err := r.resolver.backingOff(name, entry.Revision, r.Clock.Now()); backingOff {
		return err
	}
	first, last := entry.Root.ProbeOrder()
	if done, err := r.probeEach(ctx, storage, name, entry, first); done {
		return err
	}
	conn, err := r.Pool.Acquire(storage, name, entry)
	if err != nil {
		return err
	}
	defer conn.Release()
	_, err = r.Pool.Check(ctx, conn, entry.Vendor)
	switch {
	case provider.ClassOf(err) == provider.ClassUnauthenticated:
		if done, err := r.probeEach(ctx, storage, name, entry, last); done {
			return err
		}
		return r.backOff(name, entry, RejectedBackoff, &provider.Error{
			Class: provider.ClassUnauthenticated, Err: err,
			Message: "the vendor accepts neither the stored root credential nor another one of its rotations: " + err.Error(),
			Remedy:  fmt.Sprintf("write a root credential that works to config/%s", name),
		})
	case err != nil:
		r.Logger().Warn("the outcome of a rotation is not known yet; requests continue with the stored root credential", "config", name, "error", err)
		return r.backOff(name, entry, RejectedBackoff, nil)
	case !entry.Root.InDoubt():
		return nil
	}
	r.Logger().Info("a rotation whose outcome was not known has not taken place", "config", name)
	resolved := *entry
	resolved.Root.ResolveInDoubt(store.CandidateRejected)
	return r.Store.CompareAndSwapConfig(ctx, storage, name, entry, &resolved)
}

// probeEach activates the first candidate that the vendor accepts. done is true if one was activated or the
// vendor gave no definite answer.
func (r *Rotator) probeEach(ctx context.Context, storage logical.Storage, name string, entry *store.Config, candidates []store.RootCandidate) (done bool, err error) {
	for _, candidate := range candidates {
		next := entry.ReplacedInPlace(candidate, r.Clock.Now())
		err := r.activateRoot(ctx, storage, name, entry, next)
		switch {
		case err == nil:
			r.Logger().Info("the vendor accepts another root credential than the stored one, which was activated", "config", name, "state", candidate.State)
			if candidate.State == store.CandidatePending {
				r.SendEvent(ctx, EventRotate, "config", name)
			}
			if _, err := r.Recheck(ctx, storage, name, next); err != nil {
				r.Logger().Warn("credentials that were issued before a rotation could not be checked yet", "config", name, "error", err)
			}
			return true, nil
		case provider.ClassOf(err) != provider.ClassUnauthenticated:
			return true, r.backOff(name, entry, UnavailableBackoff, err)
		}
	}
	return false, nil
}

// backOff stops further probes of a config for a while, and returns err.
func (r *Rotator) backOff(name string, entry *store.Config, pause time.Duration, err error) error {
	r.resolver.backOff(name, rootBackoff{entry.Revision, r.Clock.Now().Add(pause), err})
	return err
}
