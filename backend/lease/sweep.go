package lease

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// SweepOptions change how Sweep works.
type SweepOptions struct {
	// IgnoreBackoff retries failed revocations now, whatever the pause after the last attempt.
	IgnoreBackoff bool
	// DryRun only reports.
	DryRun bool
}

// SweepResult is what a sweep found and did.
type SweepResult struct {
	// Pending are the markers of the credentials that should have ended.
	Pending []string
	// Revoked is how many of them have ended now.
	Revoked int
	// Drained is true when the config is retired and its last credential has ended: the caller then deletes
	// the config.
	Drained bool
}

// Sweep revokes every credential of a config that should not live any more, and deletes the entries of those
// that have expired. The first failure that concerns the vendor as a whole ends the sweep: an unreachable
// vendor costs one timeout.
func (c *Credentials) Sweep(ctx context.Context, storage logical.Storage, name string, options SweepOptions) (SweepResult, error) {
	var result SweepResult
	entries, err := c.Ledger.List(ctx, storage, name)
	if err != nil {
		return result, err
	}
	config, err := c.Store.Config(ctx, storage, name)
	if err != nil {
		return result, err
	}
	now := c.Clock.Now()
	if options.IgnoreBackoff {
		ctx = withOperator(ctx)
	}
	var failed []error
	for i := range entries {
		entry := &entries[i]
		if _, busy := c.inFlight.Load(entry.ID); busy || ctx.Err() != nil {
			continue
		}
		act, err := c.decide(ctx, storage, entry, now, options)
		if err != nil {
			return result, err
		}
		if act != actionDelete && act != actionRevoke {
			continue
		}
		result.Pending = append(result.Pending, entry.Marker)
		if options.DryRun {
			continue
		}
		drained, err := c.sweepOne(ctx, storage, entry, config, act)
		result.Drained = result.Drained || drained
		switch {
		case err == nil:
			result.Revoked++
		case concernsVendor(err):
			return result, errors.Join(append(failed, err)...)
		default:
			// The failure concerns this credential. The entries behind it may succeed.
			failed = append(failed, err)
		}
	}
	return result, errors.Join(failed...)
}

// concernsVendor reports whether a failure concerns the vendor as a whole, and not one credential: it did not
// answer, it rejected the root credential, or no request may be sent to it now.
func concernsVendor(err error) bool {
	switch provider.ClassOf(err) {
	case provider.ClassUnauthenticated, provider.ClassRateLimited:
		return true
	default:
		return errors.Is(err, provider.ErrNotSent) || pool.Unanswered(err)
	}
}

// decide returns what a sweep does about an entry. For a shared credential, it looks for holders.
func (c *Credentials) decide(ctx context.Context, storage logical.Storage, entry *ledger.Entry, now time.Time, options SweepOptions) (action, error) {
	act := nextAction(entry, now, options.IgnoreBackoff)
	if act != actionCheckHolders || options.DryRun {
		return act, nil
	}
	last, err := c.Ledger.DetachExpired(ctx, storage, entry.ID, now.Add(-LostLeaseGrace))
	if err != nil || !last {
		return act, err
	}
	c.shared.forgetEntry(entry.ID)
	return actionRevoke, nil
}

// sweepOne revokes one credential, or deletes the entry of one that has expired.
func (c *Credentials) sweepOne(ctx context.Context, storage logical.Storage, listed *ledger.Entry, config *store.Config, act action) (drained bool, err error) {
	if act == actionDelete {
		c.Logger().Info("credential expired at the vendor", "config", listed.Config, "id", listed.ID, "state", listed.State)
		return c.deleteEntry(ctx, storage, listed, config)
	}
	// Read again for its handle, and because it may have been renewed or revoked since it was listed.
	entry, err := c.Ledger.Get(ctx, storage, listed.Config, listed.ID)
	if err != nil || entry == nil || nextAction(entry, c.Clock.Now(), true) < actionCheckHolders {
		return false, err
	}
	c.Logger().Info("revoking a credential that no lease holds", "config", entry.Config, "id", entry.ID, "state", entry.State)
	// Recorded before the vendor is asked: a stalled leader that has a successor cannot write, and what it knows
	// of leases is old.
	if entry.State != ledger.StateRevoking {
		entry.State = ledger.StateRevoking
		if err := c.Ledger.Update(ctx, storage, entry); err != nil {
			if errors.Is(err, ledger.ErrChanged) {
				return false, nil
			}
			return false, err
		}
	}
	return c.revoke(ctx, storage, entry)
}

// action is what a sweep does about an entry.
type action int

const (
	actionNone action = iota
	actionDelete
	actionCheckHolders
	actionRevoke
)

// nextAction decides by the entry alone, so that the result does not depend on the caller, except that
// ignoreBackoff skips the pause after a failed attempt.
func nextAction(entry *ledger.Entry, now time.Time, ignoreBackoff bool) action {
	// The vendor may keep no expiry, or the application's own calls may have moved it: only the vendor can tell
	// whether such a credential has ended.
	mayLiveOn := entry.ExpiryNotEnforced && (entry.State == ledger.StateLive || entry.State == ledger.StateRevoking)
	if now.After(entry.ExpiresAt.Add(ExpiryGrace)) && !mayLiveOn {
		return actionDelete
	}
	switch entry.State {
	case ledger.StateIssuing:
		// No request lasts that long: the process that wrote the intent has died.
		if now.After(entry.CreatedAt.Add(IssueDeadline)) {
			return actionRevoke
		}
	case ledger.StateLive:
		if entry.IsShared() {
			if now.After(entry.CreatedAt.Add(IssueDeadline)) {
				return actionCheckHolders
			}
			return actionNone
		}
		if now.After(entry.LeaseExpiresAt.Add(LostLeaseGrace)) {
			return actionRevoke
		}
	case ledger.StateRevoking:
		if ignoreBackoff || !now.Before(entry.NextAttemptAt) {
			return actionRevoke
		}
	case ledger.StateExpiring:
	}
	return actionNone
}
