package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// UnavailableBackoff is how long the engine does not probe root credentials again after the vendor did not
	// answer.
	UnavailableBackoff = 15 * time.Second

	// RejectedBackoff is how long the engine does not try root credentials again that the vendor has rejected:
	// retries must not lock the account. It doubles with each further time, up to MaxRejectedBackoff.
	RejectedBackoff = 10 * time.Minute

	// MaxRejectedBackoff bounds RejectedBackoff.
	MaxRejectedBackoff = time.Hour

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
	// roots identifies the root credentials that were probed: the stored one and the candidates. Other changes of the
	// config do not end the back-off.
	roots     string
	at, until time.Time
	// rejections counts how many times in a row the vendor has rejected a root credential and accepted no other.
	rejections int
	// err is why requests cannot continue; nil when they can continue with the stored root credential.
	err error
}

// backingOff reports whether a config's root credentials must not be probed now, and why.
func (r *resolver) backingOff(name, roots string, now time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	backoff, ok := r.backoffs[name]
	if !ok || backoff.roots != roots {
		delete(r.backoffs, name)
		return false, nil
	}
	// A pause that is longer than the longest began by a clock that was ahead.
	if remaining := backoff.until.Sub(now); remaining <= 0 || remaining > MaxRejectedBackoff {
		return false, nil
	}
	return true, backoff.remaining(now)
}

// remaining returns the error with the time that is left until the engine asks again. That of a rejected root credential
// is part of the message: a revocation that it stops is tried again sooner, since an operator may write another one.
func (b rootBackoff) remaining(now time.Time) error {
	failure, ok := b.err.(*provider.Error) //nolint:errorlint // the text of another error would keep the old time
	if !ok {
		return b.err
	}
	again, rest := *failure, b.until.Sub(now)
	switch {
	case again.Class == provider.ClassUnauthenticated:
		again.Message += fmt.Sprintf("; the engine asks again in %s", rest.Round(time.Second))
	case again.RetryAfter > 0:
		again.RetryAfter = max(rest, again.RetryAfter-now.Sub(b.at))
	}
	return &again
}

// backOff records a failure to find out, and returns it with the time until the engine asks again. rejected is true if
// the vendor has rejected a root credential.
func (r *resolver) backOff(name, roots string, rejected bool, now time.Time, err error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	backoff := r.backoffs[name]
	if backoff.roots != roots {
		backoff = rootBackoff{roots: roots}
	}
	pause := UnavailableBackoff
	if rejected {
		backoff.rejections++
		pause = GrownBackoff(backoff.rejections)
	}
	backoff.at, backoff.until, backoff.err = now, now.Add(pause), err
	r.backoffs[name] = backoff
	return backoff.remaining(now)
}

// GrownBackoff returns RejectedBackoff after a number of rejections in a row.
func GrownBackoff(rejections int) time.Duration {
	pause := RejectedBackoff
	for range rejections - 1 {
		if pause >= MaxRejectedBackoff {
			break
		}
		pause *= 2
	}
	return min(pause, MaxRejectedBackoff)
}

// resolved forgets the failures of a config.
func (r *resolver) resolved(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.backoffs, name)
}

// keep drops the configs that do not exist any more.
func (r *resolver) keep(exists func(name string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.backoffs, func(name string, _ rootBackoff) bool { return !exists(name) })
}

// Accepted records that the vendor has accepted a root credential of the config, over a connection of an operator's
// request: it can be probed again.
func (r *Rotator) Accepted(name string) { r.resolver.resolved(name) }

// Keep drops what is known in memory of configs that do not exist any more.
func (r *Rotator) Keep(exists func(name string) bool) { r.resolver.keep(exists) }

// rootsOf identifies the stored root credential of a config and its candidates, without holding them.
func (r *Rotator) rootsOf(entry *store.Config) string {
	roots := []string{entry.UID, r.Pool.RootID(entry)}
	for _, candidate := range entry.Root.Candidates {
		roots = append(roots, r.Pool.RootID(entry.WithRoot(candidate, entry.Root.UpdatedAt)))
	}
	slices.Sort(roots) // the order of candidates changes with their states
	return strings.Join(roots, " ")
}

// ResolveRoot finds out which root credential the vendor accepts, once for all requests that ask at the same
// time.
func (r *Rotator) ResolveRoot(ctx context.Context, storage logical.Storage, name string) error {
	done := r.resolver.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(pool.CopyProbe(r.Lifetime, ctx), resolveTimeout)
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
	if backingOff, err := r.resolver.backingOff(name, r.rootsOf(entry), r.Clock.Now()); backingOff {
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
		return r.backOff(name, entry, true, errNoneAccepted(name, err))
	case err != nil:
		r.Logger().Warn("the outcome of a rotation is not known yet; requests continue with the stored root credential", "config", name, "error", err)
		return r.backOff(name, entry, true, nil)
	}
	r.resolver.resolved(name)
	resolved := *entry
	if entry.Root.InDoubt() {
		r.Logger().Info("a rotation whose outcome was not known has not taken place", "config", name)
		resolved.Root.ResolveInDoubt(store.CandidateRejected)
	}
	if accepted := resolved.Root.MarkAccepted(); !accepted && !entry.Root.InDoubt() {
		return nil
	}
	return r.Store.CompareAndSwapConfig(ctx, storage, name, entry, &resolved)
}

// errNoneAccepted says that the vendor rejects all root credentials of a config; rejected is the error of the stored one.
// Its RetryAfter is that of one login, and the engine makes none before its own pause ends.
func errNoneAccepted(name string, rejected error) error {
	if failure, ok := errors.AsType[*provider.Error](rejected); ok {
		last := *failure
		last.RetryAfter = 0
		rejected = &last
	}
	return &provider.Error{
		Class: provider.ClassUnauthenticated, Err: rejected,
		Message: "the vendor accepts neither the stored root credential nor another one of its rotations: " + provider.ReaderText(rejected),
		Remedy:  fmt.Sprintf("write a root credential that works to config/%s", name),
	}
}

// probeEach activates the first candidate that the vendor accepts. done is true if one was activated or the
// vendor gave no definite answer.
func (r *Rotator) probeEach(ctx context.Context, storage logical.Storage, name string, entry *store.Config, candidates []store.RootCandidate) (done bool, err error) {
	for _, candidate := range candidates {
		next := entry.ReplacedInPlace(candidate, r.Clock.Now())
		err := r.activateRoot(ctx, storage, name, entry, next)
		switch {
		case err == nil:
			r.resolver.resolved(name)
			r.Logger().Info("the vendor accepts another root credential than the stored one, which was activated", "config", name, "state", candidate.State)
			if candidate.State == store.CandidatePending {
				r.SendEvent(ctx, EventRotate, "config", name)
			}
			if _, err := r.Recheck(ctx, storage, name, next); err != nil {
				r.Logger().Warn("credentials that were issued before a rotation could not be checked yet", "config", name, "error", err)
			}
			return true, nil
		case provider.ClassOf(err) != provider.ClassUnauthenticated:
			return true, r.backOff(name, entry, false, err)
		}
	}
	return false, nil
}

// backOff stops further probes of a config for a while, and returns err with that time.
func (r *Rotator) backOff(name string, entry *store.Config, rejected bool, err error) error {
	return r.resolver.backOff(name, r.rootsOf(entry), rejected, r.Clock.Now(), err)
}
