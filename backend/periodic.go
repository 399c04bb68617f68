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

	// reconcileInterval is how often a config is compared with what its vendor lists.
	reconcileInterval = time.Hour

	// rejectedRootBackoff is how long the periodic run leaves a config alone whose root credential was refused: its
	// retries must not lock the account.
	rejectedRootBackoff = 10 * time.Minute
)

// periodic is Vault's tick, about once a minute on the active node: it works off what is not settled.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	state := b.System().ReplicationState()
	if state.HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, periodicBudget)
	defer cancel()
	if err := b.maintainRoots(ctx, req.Storage); err != nil {
		b.Logger().Warn("the root credentials could not be settled", "error", err)
	}
	names, err := b.ledger.Configs(ctx, req.Storage)
	if err != nil {
		return err
	}
	for _, name := range names {
		if b.clock.Now().Before(b.backoffUntil[name]) {
			continue
		}
		if _, _, err := b.sweep(ctx, req.Storage, name, sweepOptions{}); err != nil {
			b.Logger().Warn("the ledger of a config could not be settled", "config", name, "error", err)
			if provider.ClassOf(err) == provider.ClassUnauthenticated {
				b.backoffUntil[name] = b.clock.Now().Add(rejectedRootBackoff)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return b.reconcileAll(ctx, req.Storage)
}

// reconcileAll compares each config with its vendor from time to time.
func (b *backend) reconcileAll(ctx context.Context, storage logical.Storage) error {
	names, err := storage.List(ctx, configPrefix)
	if err != nil {
		return fmt.Errorf("listing the configs: %w", err)
	}
	for _, name := range names {
		now := b.clock.Now()
		last, seen := b.lastReconciled[name]
		if seen && now.Sub(last) < reconcileInterval || ctx.Err() != nil {
			continue
		}
		b.lastReconciled[name] = now
		if !seen {
			continue // after a start, there is more urgent work
		}
		config, conn, err := b.acquireConfig(ctx, storage, name)
		if err == nil && config.Retired {
			// Should the process have died between the last credential's end and this.
			conn.release()
			b.deleteRetired(ctx, storage, name)
			continue
		}
		if err == nil {
			err = b.reportOrphans(ctx, storage, name, config, conn)
			conn.release()
		}
		if err != nil {
			b.Logger().Warn("a config could not be compared with its vendor", "config", name, "error", err)
		}
	}
	return nil
}

// reportOrphans tells of credentials at the vendor that carry this mount's marker and are not in the books. It
// ends none: everything is written down before it exists, so there can only be some if storage was set back, and
// then this Vault may be a copy whose original is alive and has issued them. A person decides, and tidies.
func (b *backend) reportOrphans(ctx context.Context, storage logical.Storage, name string, config *configEntry, conn *connection) error {
	var found tidyResult
	if err := b.reconcile(ctx, storage, config, conn, true, &found); err != nil || len(found.orphans) == 0 {
		return err
	}
	b.Logger().Warn("the vendor lists credentials of this mount that are not in its books; see config/<name>/tidy", "config", name, "markers", found.orphans)
	b.event(ctx, eventOrphansFound, "config", name, "count", strconv.Itoa(len(found.orphans)))
	return nil
}

// sweepOptions say how settle works.
type sweepOptions struct {
	// ignoreBackoff tries failed revocations now, whatever the pause after the last attempt.
	ignoreBackoff bool
	// dryRun only reports.
	dryRun bool
}

// sweep ends every credential of a config that should not be alive any more and strikes out what has
// expired. It returns the markers of what was due and how many are settled. The first failure that is about the
// vendor as a whole ends the run for this config: an unreachable vendor costs one timeout a tick.
func (b *backend) sweep(ctx context.Context, storage logical.Storage, name string, options sweepOptions) (due []string, settled int, err error) {
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
		act := nextAction(entry, now, options.ignoreBackoff)
		if act == actionCheckHolders && !options.dryRun {
			// No lease may be left that holds it, for all that the entry alone can tell.
			last, err := b.ledger.DetachExpired(ctx, storage, entry.ID, now.Add(-lostLeaseGrace))
			if err != nil {
				return due, settled, err
			}
			if last {
				b.shared.forgetEntry(entry.ID)
				act = actionRevoke
			}
		}
		if act != actionDelete && act != actionRevoke {
			continue
		}
		due = append(due, entry.Marker)
		if options.dryRun {
			continue
		}
		err := b.sweepOne(ctx, storage, entry, config, act)
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

// sweepOne ends one credential, or strikes out what has ended by itself.
func (b *backend) sweepOne(ctx context.Context, storage logical.Storage, listed *ledger.Entry, config *configEntry, act action) error {
	if act == actionDelete {
		b.Logger().Info("credential expired at the vendor", "config", listed.Config, "id", listed.ID, "state", listed.State)
		return b.deleteEntry(ctx, storage, listed, config)
	}
	// Read anew for its handle, and because a renewal or a revocation may have come in between.
	entry, err := b.ledger.Get(ctx, storage, listed.Config, listed.ID)
	if err != nil || entry == nil || nextAction(entry, b.clock.Now(), true) < actionCheckHolders {
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
	return b.revokeEntry(ctx, storage, entry)
}

// action is what the periodic run does about an entry.
type action int

const (
	actionNone action = iota
	actionDelete
	actionCheckHolders
	actionRevoke
)

// nextAction decides by the entry alone, so that what is due does not depend on who asks, except that the urgent do not
// backoffErr for the pause after a failed attempt.
func nextAction(entry *ledger.Entry, now time.Time, urgent bool) action {
	// The vendor may keep no end, or the application's own calls may have moved it: whether such a credential is
	// over, only the vendor can tell.
	mayLiveOn := entry.ExpiryNotEnforced && (entry.State == ledger.StateLive || entry.State == ledger.StateRevoking)
	if now.After(entry.ExpiresAt.Add(expiryGrace)) && !mayLiveOn {
		return actionDelete
	}
	switch entry.State {
	case ledger.StateIssuing:
		// No request lasts that long: the process that wrote the intent is gone.
		if now.After(entry.CreatedAt.Add(issueDeadline)) {
			return actionRevoke
		}
	case ledger.StateLive:
		if entry.IsShared() {
			if now.After(entry.CreatedAt.Add(issueDeadline)) {
				return actionCheckHolders
			}
			return actionNone
		}
		if now.After(entry.LeaseExpiresAt.Add(lostLeaseGrace)) {
			return actionRevoke
		}
	case ledger.StateRevoking:
		if urgent || !now.Before(entry.NextAttemptAt) {
			return actionRevoke
		}
	case ledger.StateExpiring:
	}
	return actionNone
}
