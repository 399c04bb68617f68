package backend

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// unavailableBackoff is how long a vendor that does not answer is not asked which root credential is in force.
const unavailableBackoff = 15 * time.Second

// rootResolver find out which root credential is in force after a rotation whose end nobody knows.
type rootResolver struct {
	flights singleflight.Group

	mu       sync.Mutex
	backoffs map[string]rootBackoff
}

// rootBackoff is a config at which it could not be found out: asking again and again could lock an account.
type rootBackoff struct {
	revision string
	until    time.Time
	// err is why requests cannot go on; nil when they can, with the stored root credential.
	err error
}

// backingOff reports whether a config is left alone now, and why.
func (r *rootResolver) backingOff(name, revision string, now time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest, ok := r.backoffs[name]; ok && rest.revision == revision && now.Before(rest.until) {
		return true, rest.err
	}
	delete(r.backoffs, name)
	return false, nil
}

func (r *rootResolver) backOff(name string, rest rootBackoff) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.backoffs[name] = rest
}

// resolveRoot finds out which root credential is in force, once for all requests that come at the same time.
func (b *backend) resolveRoot(ctx context.Context, storage logical.Storage, name string) error {
	landed := b.roots.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(b.lifetime, issueTimeout)
		defer cancel()
		return provider.CatchPanic("settling a rotation", func() (any, error) { return nil, b.probeCandidates(ctx, storage, name) })
	})
	select {
	case result := <-landed:
		return result.Err
	case <-ctx.Done():
		return &provider.Error{
			Class: provider.ClassUnavailable, Message: "the caller gave up before it was known which root credential is in force", Err: ctx.Err(),
		}
	}
}

// probeCandidates logs in with the root credentials that may be in force in place of the stored one, and with that if the
// vendor refuses the others. A nil error means that requests can go on.
func (b *backend) probeCandidates(ctx context.Context, storage logical.Storage, name string) error {
	entry, err := readConfig(ctx, storage, name)
	if err != nil || entry == nil || len(entry.Root.Candidates) == 0 {
		return err
	}
	if rests, err := b.roots.backingOff(name, entry.Revision, b.clock.Now()); rests {
		return err
	}
	first, last := entry.Root.probeOrder()
	if done, err := b.probeEach(ctx, storage, name, entry, first); done {
		return err
	}
	conn, err := b.connections.acquire(storage, name, entry)
	if err != nil {
		return err
	}
	defer conn.release()
	_, err = verifyRoot(ctx, entry.Vendor, conn)
	switch {
	case provider.ClassOf(err) == provider.ClassUnauthenticated:
		if done, err := b.probeEach(ctx, storage, name, entry, last); done {
			return err
		}
		return b.backOffRoot(name, entry, rejectedRootBackoff, &provider.Error{
			Class: provider.ClassUnauthenticated, Err: err,
			Message: "the vendor takes neither the stored root credential nor another one that it was to be changed to or from: " + err.Error(),
			Remedy:  fmt.Sprintf("write a root credential that works to config/%s", name),
		})
	case err != nil:
		b.Logger().Warn("whether a rotation has taken place is not known yet; requests go on with the stored root credential", "config", name, "error", err)
		return b.backOffRoot(name, entry, rejectedRootBackoff, nil)
	case !entry.Root.inDoubt():
		return nil
	}
	b.Logger().Info("a rotation whose end was not known has not taken place", "config", name)
	settled := *entry
	settled.Root.resolveInDoubt(candidateRejected)
	return b.compareAndSwapConfig(ctx, storage, name, entry, &settled)
}

// probeEach takes the first root credential into use that the vendor takes. It reports true when no other is to be tried:
// one was taken, or the vendor does not say.
func (b *backend) probeEach(ctx context.Context, storage logical.Storage, name string, entry *configEntry, others []rootCandidate) (done bool, err error) {
	for _, other := range others {
		next := entry.replacedInPlace(other, b.clock.Now())
		err := b.activateRoot(ctx, storage, name, entry, next)
		switch {
		case err == nil:
			b.Logger().Info("another root credential than the stored one is in force and was taken into use", "config", name, "was", other.State)
			if other.State == candidatePending {
				b.event(ctx, eventRootRotate, "config", name)
			}
			if _, err := b.recheckCredentials(ctx, storage, name, next); err != nil {
				b.Logger().Warn("credentials that were issued before a rotation could not be looked at yet", "config", name, "error", err)
			}
			return true, nil
		case provider.ClassOf(err) != provider.ClassUnauthenticated:
			return true, b.backOffRoot(name, entry, unavailableBackoff, err)
		}
	}
	return false, nil
}

// backOff leaves a config alone for a while, and returns err.
func (b *backend) backOffRoot(name string, entry *configEntry, pause time.Duration, err error) error {
	b.roots.backOff(name, rootBackoff{entry.Revision, b.clock.Now().Add(pause), err})
	return err
}

// recheckCredentials finds the credentials that the vendor has ended with the former root credential. They are given to
// nobody any more and take no slot once they are struck out. It returns how many there are.
func (b *backend) recheckCredentials(ctx context.Context, storage logical.Storage, name string, config *configEntry) (dead int, err error) {
	if !config.Root.RecheckCredentials {
		return 0, nil
	}
	conn, err := b.connections.acquire(storage, name, config)
	if err != nil {
		return 0, err
	}
	defer conn.release()
	driver, ok := conn.Connection.(provider.Renewer)
	if !ok {
		return 0, nil
	}
	renew := b.renewFuncOf(conn, config.Vendor, driver)
	entries, err := b.ledger.List(ctx, storage, name)
	if err != nil {
		return 0, err
	}
	for i := range entries {
		entry, err := b.ledger.Get(ctx, storage, name, entries[i].ID)
		if err != nil {
			return dead, err
		}
		if entry == nil || entry.State != ledger.StateLive || b.checkOrigin(entry, config) != nil {
			continue
		}
		left := max(entry.ExpiresAt.Sub(b.clock.Now()).Truncate(time.Second), time.Second)
		switch _, err = renew(ctx, entry.Handle, left); {
		case provider.ClassOf(err) == provider.ClassNotFound:
			dead++
			if err := b.markEnded(ctx, storage, entry); err != nil {
				return dead, err
			}
		case err != nil:
			return dead, err
		}
	}
	return dead, nil
}

// markEnded takes a credential that the vendor has ended out of use. Its account is struck out as after a revocation.
func (b *backend) markEnded(ctx context.Context, storage logical.Storage, entry *ledger.Entry) error {
	b.shared.forgetEntry(entry.ID)
	entry.State, entry.NextAttemptAt = ledger.StateRevoking, b.clock.Now()
	entry.LastError = "the vendor has ended it with the former root credential"
	if err := b.ledger.Update(ctx, storage, entry); err != nil && !errors.Is(err, ledger.ErrChanged) {
		return err
	}
	return nil
}

// completeRotation does what is left to do once another root credential is in use: credentials that it has ended are
// struck out, and the former one is ended.
func (b *backend) completeRotation(ctx context.Context, storage logical.Storage, name string) error {
	if err := b.revokePrevious(ctx, storage, name); err != nil {
		return err
	}
	_, _, err := b.sweep(ctx, storage, name, sweepOptions{})
	return err
}

// revokePrevious is completeRotation but for what it strikes out: that takes the connection itself, and who holds it while
// he waits for it stands in the way of the next rotation.
func (b *backend) revokePrevious(ctx context.Context, storage logical.Storage, name string) error {
	entry, conn, err := b.acquireConfig(ctx, storage, name)
	if err != nil {
		return err
	}
	defer conn.release()
	if entry.Root.Previous == nil && !entry.Root.RecheckCredentials {
		return nil
	}
	if _, err := b.recheckCredentials(ctx, storage, name, entry); err != nil {
		return err
	}
	if entry.Root.Previous != nil {
		revoker, ok := conn.Connection.(provider.Revoker)
		if !ok {
			return fmt.Errorf("the vendor's connection %T has left a former root credential and cannot revoke", conn.Connection)
		}
		err := b.callVendor(conn, entry.Vendor, operationRevoke, func() error { return revoker.Revoke(ctx, entry.Root.Previous) })
		if err != nil {
			return fmt.Errorf("ending the former root credential: %w", err)
		}
		failpoint("rotate.ended")
	}
	finished := *entry
	finished.Root.Previous, finished.Root.RecheckCredentials = nil, false
	return b.compareAndSwapConfig(ctx, storage, name, entry, &finished)
}
