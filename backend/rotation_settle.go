package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// rootSettlements find out which root credential is in force after a rotation whose end nobody knows.
type rootSettlements struct {
	flights singleflight.Group

	mu sync.Mutex
	// resting are configs at which neither was, until when they are left alone, and why.
	resting map[string]restingRoot
}

// restingRoot remembers that a vendor has refused both root credentials: asking again and again could lock an account.
type restingRoot struct {
	revision string
	until    time.Time
	err      error
}

// remembered returns why a config is left alone now, or nil.
func (r *rootSettlements) remembered(name, revision string, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rest, ok := r.resting[name]; ok && rest.revision == revision && now.Before(rest.until) {
		return rest.err
	}
	delete(r.resting, name)
	return nil
}

func (r *rootSettlements) remember(name string, rest restingRoot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resting[name] = rest
}

// settleProposed finds out which root credential is in force, once for all requests that come at the same time.
func (b *backend) settleProposed(ctx context.Context, storage logical.Storage, name string) error {
	landed := b.rootSettlements.flights.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(b.lifetime, mintTimeout)
		defer cancel()
		return provider.Contain("settling a rotation", func() (any, error) { return nil, b.tryProposed(ctx, storage, name) })
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

// tryProposed logs in with the proposed root credential, and with the stored one if the vendor refuses that.
func (b *backend) tryProposed(ctx context.Context, storage logical.Storage, name string) error {
	entry, err := readConfig(ctx, storage, name)
	if err != nil || entry == nil || entry.Root.Proposed == nil {
		return err
	}
	if err := b.rootSettlements.remembered(name, entry.Revision, b.clock.Now()); err != nil {
		return err
	}
	next := entry.withRoot(entry.Root.Proposed.Fields, b.clock.Now())
	next.Root.Former, next.Root.LookAtCredentials = entry.Root.Former, true
	proposedErr := b.takeIntoUse(ctx, storage, name, entry, next)
	switch {
	case proposedErr == nil:
		b.Logger().Info("a rotation whose end was not known has succeeded", "config", name)
		if _, err := b.lookAtCredentials(ctx, storage, name, next); err != nil {
			b.Logger().Warn("credentials that were issued before a rotation could not be looked at yet", "config", name, "error", err)
		}
		return nil
	case provider.ClassOf(proposedErr) != provider.ClassUnauthenticated:
		return proposedErr
	}
	conn, err := b.connections.acquire(storage, name, entry)
	if err != nil {
		return err
	}
	defer conn.release()
	_, err = provider.Contain(entry.Vendor+": check", func() (*provider.CheckResult, error) { return conn.Check(ctx) })
	switch {
	case provider.ClassOf(err) == provider.ClassUnauthenticated:
		err = &provider.Error{
			Class: provider.ClassUnauthenticated, Err: err,
			Message: "a rotation of the root credential was interrupted, and the vendor takes neither the stored one nor the new one: " + err.Error(),
			Remedy:  fmt.Sprintf("write a root credential that works to config/%s", name),
		}
		b.rootSettlements.remember(name, restingRoot{entry.Revision, b.clock.Now().Add(refusedRootRest), err})
		return err
	case err != nil:
		return err
	case entry.Root.Proposed.Refused:
		return nil
	}
	b.Logger().Info("a rotation whose end was not known has not taken place", "config", name)
	refused := *entry
	refused.Root.Proposed = &proposedRoot{Fields: entry.Root.Proposed.Fields, Refused: true}
	return b.storeConfig(ctx, storage, name, entry, &refused)
}

// lookAtCredentials finds the credentials that the vendor has ended with the former root credential. They are given to
// nobody any more and take no slot once they are struck out. It returns how many there are.
func (b *backend) lookAtCredentials(ctx context.Context, storage logical.Storage, name string, config *configEntry) (dead int, err error) {
	if !config.Root.LookAtCredentials {
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
	renew := b.renewerOf(conn, config.Vendor, driver)
	entries, err := b.ledger.List(ctx, storage, name)
	if err != nil {
		return 0, err
	}
	for i := range entries {
		entry, err := b.ledger.Get(ctx, storage, name, entries[i].ID)
		if err != nil {
			return dead, err
		}
		if entry == nil || entry.State != ledger.StateLive || b.checkBinding(entry, config) != nil {
			continue
		}
		left := max(entry.ExpiresAt.Sub(b.clock.Now()).Truncate(time.Second), time.Second)
		switch _, err = renew(ctx, entry.Handle, left); {
		case provider.ClassOf(err) == provider.ClassNotFound:
			dead++
			if err := b.bury(ctx, storage, entry); err != nil {
				return dead, err
			}
		case err != nil:
			return dead, err
		}
	}
	return dead, nil
}

// bury takes a credential that the vendor has ended out of use. Its account is struck out as after a revocation.
func (b *backend) bury(ctx context.Context, storage logical.Storage, entry *ledger.Entry) error {
	b.shared.forgetEntry(entry.ID)
	entry.State, entry.NextAttemptAt = ledger.StateRevoking, b.clock.Now()
	entry.LastError = "the vendor has ended it with the former root credential"
	if err := b.ledger.Update(ctx, storage, entry); err != nil && !errors.Is(err, ledger.ErrChanged) {
		return err
	}
	return nil
}

// finishRotation does what is left to do once another root credential is in use: credentials that it has ended are
// struck out, and the former one is ended.
func (b *backend) finishRotation(ctx context.Context, storage logical.Storage, name string) error {
	if err := b.endFormer(ctx, storage, name); err != nil {
		return err
	}
	_, _, err := b.settle(ctx, storage, name, settleOptions{})
	return err
}

// endFormer is finishRotation but for what it strikes out: that takes the connection itself, and who holds it while
// he waits for it stands in the way of the next rotation.
func (b *backend) endFormer(ctx context.Context, storage logical.Storage, name string) error {
	entry, conn, err := b.configInUse(ctx, storage, name)
	if err != nil {
		return err
	}
	defer conn.release()
	if entry.Root.Former == nil && !entry.Root.LookAtCredentials {
		return nil
	}
	if _, err := b.lookAtCredentials(ctx, storage, name, entry); err != nil {
		return err
	}
	if entry.Root.Former != nil {
		revoker, ok := conn.Connection.(provider.Revoker)
		if !ok {
			return fmt.Errorf("the vendor's connection %T has left a former root credential and cannot revoke", conn.Connection)
		}
		err := b.callVendor(conn, entry.Vendor, operationRevoke, func() error { return revoker.Revoke(ctx, entry.Root.Former) })
		if err != nil {
			return fmt.Errorf("ending the former root credential: %w", err)
		}
		faultPoint("rotate.ended")
	}
	finished := *entry
	finished.Root.Former, finished.Root.LookAtCredentials = nil, false
	return b.storeConfig(ctx, storage, name, entry, &finished)
}

// settleRoots is the periodic run's part in rotations: it finishes those that were interrupted, ends root credentials
// that were made and never stored, and begins what is due by rotation_period.
func (b *backend) settleRoots(ctx context.Context, storage logical.Storage) error {
	if b.System().ReplicationState().HasState(consts.ReplicationPerformanceSecondary) && !b.System().LocalMount() {
		return nil // configs are the primary's to change
	}
	names, err := storage.List(ctx, configPrefix)
	if err != nil {
		return fmt.Errorf("listing the configs: %w", err)
	}
	noted, err := storage.List(ctx, bootstrapPrefix)
	if err != nil {
		return fmt.Errorf("listing the intents of root credentials: %w", err)
	}
	for _, name := range names {
		if b.clock.Now().Before(b.restingRoots[name]) || ctx.Err() != nil {
			continue
		}
		if err := b.settleRoot(ctx, storage, name, slices.Contains(noted, name)); err != nil {
			b.Logger().Warn("the root credential of a config could not be settled", "config", name, "error", err)
			b.restingRoots[name] = b.clock.Now().Add(refusedRootRest)
		}
	}
	return nil
}

// settleRoot is settleRoots for one config. Noted says that root credentials may be left of earlier attempts.
func (b *backend) settleRoot(ctx context.Context, storage logical.Storage, name string, noted bool) error {
	entry, err := b.config(ctx, storage, name)
	if err != nil || entry == nil {
		return err
	}
	if entry.Root.inDoubt() || noted || entry.Root.Former != nil || entry.Root.LookAtCredentials {
		config, conn, err := b.configInUse(ctx, storage, name) // which settles a proposed one
		if err != nil {
			return err
		}
		if noted {
			for _, warning := range b.endStaleRoots(ctx, storage, name, config.RootMarker, conn.Connection) {
				b.Logger().Warn(warning, "config", name)
			}
		}
		conn.release()
		if err := b.finishRotation(ctx, storage, name); err != nil {
			return err
		}
		if config.Retired {
			b.deleteRetired(ctx, storage, name)
		}
	}
	if entry.RotationPeriod == 0 || entry.Retired || b.clock.Now().Before(entry.Root.SetAt.Add(entry.RotationPeriod)) {
		return nil
	}
	warnings, err := b.rotateRoot(ctx, storage, name)
	for _, warning := range warnings {
		b.Logger().Warn(warning, "config", name)
	}
	return err
}
