package backend

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// periodicBudget bounds the work of one periodic run. Vault gives it 90 seconds.
	periodicBudget = time.Minute

	// compareInterval is how often a config is compared with what its vendor lists.
	compareInterval = time.Hour

	// refusedRootRest is how long the periodic run leaves a config alone whose root credential was refused: its
	// retries must not lock the account.
	refusedRootRest = 10 * time.Minute
)

// periodic is Vault's tick, about once a minute on the active node: it works off what is not settled.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	state := b.System().ReplicationState()
	if state.HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, periodicBudget)
	defer cancel()
	if err := b.settleRoots(ctx, req.Storage); err != nil {
		b.Logger().Warn("the root credentials could not be settled", "error", err)
	}
	names, err := b.ledger.Configs(ctx, req.Storage)
	if err != nil {
		return err
	}
	for _, name := range names {
		if b.clock.Now().Before(b.resting[name]) {
			continue
		}
		if _, _, err := b.settle(ctx, req.Storage, name, settleOptions{}); err != nil {
			b.Logger().Warn("the ledger of a config could not be settled", "config", name, "error", err)
			if provider.ClassOf(err) == provider.ClassUnauthenticated {
				b.resting[name] = b.clock.Now().Add(refusedRootRest)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return b.compareAll(ctx, req.Storage)
}

// compareAll compares each config with its vendor from time to time.
func (b *backend) compareAll(ctx context.Context, storage logical.Storage) error {
	names, err := storage.List(ctx, configPrefix)
	if err != nil {
		return fmt.Errorf("listing the configs: %w", err)
	}
	for _, name := range names {
		now := b.clock.Now()
		last, seen := b.compared[name]
		if seen && now.Sub(last) < compareInterval || ctx.Err() != nil {
			continue
		}
		b.compared[name] = now
		if !seen {
			continue // after a start, there is more urgent work
		}
		config, conn, err := b.configInUse(ctx, storage, name)
		if err == nil && config.Retired {
			// Should the process have died between the last credential's end and this.
			conn.release()
			b.deleteRetired(ctx, storage, name)
			continue
		}
		if err == nil {
			err = b.lookForOwnerless(ctx, storage, name, config, conn)
			conn.release()
		}
		if err != nil {
			b.Logger().Warn("a config could not be compared with its vendor", "config", name, "error", err)
		}
	}
	return nil
}

// lookForOwnerless tells of credentials at the vendor that carry this mount's marker and are not in the books. It
// ends none: everything is written down before it exists, so there can only be some if storage was set back, and
// then this Vault may be a copy whose original is alive and has issued them. A person decides, and tidies.
func (b *backend) lookForOwnerless(ctx context.Context, storage logical.Storage, name string, config *configEntry, conn *connection) error {
	var found tidied
	if err := b.compare(ctx, storage, config, conn, true, &found); err != nil || len(found.ownerless) == 0 {
		return err
	}
	b.Logger().Warn("the vendor lists credentials of this mount that are not in its books; see config/<name>/tidy", "config", name, "markers", found.ownerless)
	b.event(ctx, eventOwnerlessFound, "config", name, "count", strconv.Itoa(len(found.ownerless)))
	return nil
}

// settleOptions say how settle works.
type settleOptions struct {
	// urgent tries failed revocations now, whatever the pause after the last attempt.
	urgent bool
	// dryRun only reports.
	dryRun bool
}

// settle ends every credential of a config that should not be alive any more and strikes out what has
// expired. It returns the markers of what was due and how many are settled. The first failure that is about the
// vendor as a whole ends the run for this config: an unreachable vendor costs one timeout a tick.
func (b *backend) settle(ctx context.Context, storage logical.Storage, name string, options settleOptions) (due []string, settled int, err error) {
	entries, err := b.ledger.List(ctx, storage, name)
	if err != nil {
		return nil, 0, err
	}
	config, err := b.config(ctx, storage, name)
	if err != nil {
		return nil, 0, err
	}
	now := b.clock.Now()
	var failed []error
	for i := range entries {
		entry := &entries[i]
		if _, busy := b.inFlight.Load(entry.ID); busy || ctx.Err() != nil {
			continue
		}
		act := todo(entry, now, options.urgent)
		if act == look && !options.dryRun {
			// No lease may be left that holds it, for all that the entry alone can tell.
			last, err := b.ledger.Abandoned(ctx, storage, entry.ID, now.Add(-lostLeaseGrace))
			if err != nil {
				return due, settled, err
			}
			if last {
				b.shared.forgetEntry(entry.ID)
				act = revoke
			}
		}
		if act != forget && act != revoke {
			continue
		}
		due = append(due, entry.Marker)
		if options.dryRun {
			continue
		}
		err := b.settleOne(ctx, storage, entry, config, act)
		switch provider.ClassOf(err) {
		case provider.ClassInvalid, provider.ClassForbidden, provider.ClassNotFound, provider.ClassCapacity:
			// About this credential. Those behind it may fare better.
			failed = append(failed, err)
			continue
		default:
			if err != nil {
				return due, settled, err
			}
		}
		settled++
	}
	return due, settled, errors.Join(failed...)
}

// settleOne ends one credential, or strikes out what has ended by itself.
func (b *backend) settleOne(ctx context.Context, storage logical.Storage, listed *ledger.Entry, config *configEntry, act action) error {
	if act == forget {
		b.Logger().Info("credential expired at the vendor", "config", listed.Config, "id", listed.ID, "state", listed.State)
		return b.strikeOut(ctx, storage, listed, config)
	}
	// Read anew for its handle, and because a renewal or a revocation may have come in between.
	entry, err := b.ledger.Get(ctx, storage, listed.Config, listed.ID)
	if err != nil || entry == nil || todo(entry, b.clock.Now(), true) < look {
		return err
	}
	b.Logger().Info("ending a credential that no lease holds", "config", entry.Config, "id", entry.ID, "state", entry.State)
	// Written down before the vendor is asked: a leader that has stalled and been succeeded cannot write, and what
	// it knows of leases is old.
	if entry.State != ledger.StateRevoking {
		entry.State = ledger.StateRevoking
		if err := b.ledger.Update(ctx, storage, entry); err != nil {
			if errors.Is(err, ledger.ErrChanged) {
				return nil
			}
			return err
		}
	}
	return b.end(ctx, storage, entry)
}

// action is what the periodic run does about an entry.
type action int

const (
	nothing action = iota
	forget
	look
	revoke
)

// todo decides by the entry alone, so that what is due does not depend on who asks, except that the urgent do not
// wait for the pause after a failed attempt.
func todo(entry *ledger.Entry, now time.Time, urgent bool) action {
	// The vendor may keep no end, or the application's own calls may have moved it: whether such a credential is
	// over, only the vendor can tell.
	mayLiveOn := entry.OutlivesExpiry && (entry.State == ledger.StateLive || entry.State == ledger.StateRevoking)
	if now.After(entry.ExpiresAt.Add(expiryGrace)) && !mayLiveOn {
		return forget
	}
	switch entry.State {
	case ledger.StateIssuing:
		// No request lasts that long: the process that wrote the intent is gone.
		if now.After(entry.CreatedAt.Add(issueDeadline)) {
			return revoke
		}
	case ledger.StateLive:
		if entry.IsShared() {
			if now.After(entry.CreatedAt.Add(issueDeadline)) {
				return look
			}
			return nothing
		}
		if now.After(entry.LeaseEndsAt.Add(lostLeaseGrace)) {
			return revoke
		}
	case ledger.StateRevoking:
		if urgent || !now.Before(entry.NextAttemptAt) {
			return revoke
		}
	case ledger.StateExpiring:
	}
	return nothing
}
