package lease

import (
	"context"
	"errors"
	"fmt"
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
	// Pending are the IDs of the credentials that should have ended.
	Pending []string
	// Revoked is how many of them have ended now.
	Revoked int
	// Drained is true when the config is retired and its last credential has ended: the caller then deletes
	// the config.
	Drained bool
}

// maxReported bounds how many failures the error of a sweep lists.
const maxReported = 3

// sweepLoadWait is how long a turn of the background work waits until the ledger of a config is loaded.
const sweepLoadWait = 5 * time.Second

// Sweep revokes every credential of a config that should not live any more, searches the markers of lost issues,
// and deletes the entries of what has ended. The failure of one credential does not stop the others; each failed
// one backs off alone. A failure that concerns the vendor as a whole ends the sweep: an unreachable vendor
// costs one timeout.
func (c *Credentials) Sweep(ctx context.Context, storage logical.Storage, name string, options SweepOptions) (SweepResult, error) {
	var result SweepResult
	ids, err := c.sweepable(ctx, storage, name, options)
	if err != nil {
		return result, err
	}
	config, err := c.Store.Config(ctx, storage, name)
	if err != nil {
		return result, err
	}
	if config != nil && config.Retired && config.RootMarker == "" {
		result.Drained = c.Ledger.IsEmpty(name) // the revocation of the last one did not know yet that it was the last
	}
	now := c.Clock.Now()
	steady := c.clockIsSteady(now)
	if options.IgnoreBackoff {
		// An operator does not wait for a process that has just begun. A jump can have made every lease look lost.
		steady = !c.clockHasJumped(now)
		ctx = withOperator(ctx)
	}
	var failed []error
	for _, id := range ids {
		entry := c.undecided(ctx, name, id, steady)
		if entry == nil {
			continue
		}
		act, err := c.decide(ctx, storage, entry, now, options)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		if act != actionRevoke {
			continue
		}
		result.Pending = append(result.Pending, entry.ID)
		if options.DryRun || !options.IgnoreBackoff && c.revocations.get(entry.ID) != nil {
			continue
		}
		swept, err := c.sweepOne(ctx, storage, entry, config)
		result.Drained = result.Drained || swept.drained
		if swept.deleted {
			result.Revoked++
		}
		switch {
		case concernsVendor(err):
			return result, joinFirst(append(failed, err))
		case err != nil:
			failed = append(failed, err)
		}
	}
	return result, joinFirst(failed)
}

// undecided returns an entry that a sweep has to decide on, or nil: it is deleted or unreadable, a request is issuing it,
// the sweep's time is over, or its lease may be good since the clock is not steady.
func (c *Credentials) undecided(ctx context.Context, name, id string, steady bool) *ledger.Entry {
	entry, known := c.Ledger.Peek(name, id)
	if !known {
		return nil
	}
	if entry.State == ledger.StateUnreadable {
		c.reportUnreadable(&entry)
		return nil
	}
	if _, busy := c.inFlight.Load(entry.ID); busy || ctx.Err() != nil || entry.State == ledger.StateLive && !steady {
		return nil
	}
	return &entry
}

// sweepable returns the IDs of the entries that a sweep looks at: those that are due, or all if the pauses do not count.
func (c *Credentials) sweepable(ctx context.Context, storage logical.Storage, name string, options SweepOptions) ([]string, error) {
	if options.IgnoreBackoff || options.DryRun {
		return c.Ledger.IDs(ctx, storage, name)
	}
	// The worker has few turns at a time. It comes back for a config that takes long to load.
	ctx, cancel := context.WithTimeout(ctx, sweepLoadWait)
	defer cancel()
	return c.Ledger.Due(ctx, storage, name)
}

// reportUnreadable reports an entry that this version of the plugin cannot read, once in a process. It is kept as it is:
// a later version ends its credential.
func (c *Credentials) reportUnreadable(entry *ledger.Entry) {
	if _, known := c.reported.LoadOrStore(entry.ID, struct{}{}); known {
		return
	}
	c.Logger().Error("a ledger entry cannot be read, so that its credential is not revoked; it keeps its slot. Run the version of the plugin that wrote it",
		logOf(entry, "error", entry.LastError)...)
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

// joinFirst joins the first failures, and counts the others.
func joinFirst(failed []error) error {
	if len(failed) <= maxReported {
		return errors.Join(failed...)
	}
	return errors.Join(append(failed[:maxReported:maxReported], fmt.Errorf("and %d more", len(failed)-maxReported))...)
}

// decide returns what a sweep does about an entry. For a shared credential, it looks for holders.
func (c *Credentials) decide(ctx context.Context, storage logical.Storage, entry *ledger.Entry, now time.Time, options SweepOptions) (action, error) {
	act := nextAction(entry, now, options.IgnoreBackoff)
	if act != actionCheckHolders || options.DryRun {
		return act, nil
	}
	last, err := c.Ledger.DetachExpired(ctx, storage, entry.Config, entry.ID, now.Add(-LostLeaseGrace))
	if err != nil || !last {
		return act, err
	}
	c.shared.forgetEntry(entry.ID)
	return actionRevoke, nil
}

// sweepOne revokes one credential, or searches its marker. config is nil if it was deleted.
func (c *Credentials) sweepOne(ctx context.Context, storage logical.Storage, listed *ledger.Entry, config *store.Config) (outcome, error) {
	// Read again for its handle, and because it may have been renewed or revoked since it was listed.
	entry, err := c.Ledger.Get(ctx, storage, listed.Config, listed.ID)
	if err != nil || entry == nil || nextAction(entry, c.Clock.Now(), true) < actionCheckHolders {
		return outcome{}, err
	}
	if config == nil && c.hasExpired(entry) {
		return c.deleteExpired(ctx, storage, entry, nil)
	}
	// Recorded before the vendor is asked: a stalled leader that has a successor cannot write, and what it knows
	// of leases is old.
	before := entry.State
	switch before {
	case ledger.StateIssuing:
		entry.State = ledger.StateSearching
	case ledger.StateLive:
		entry.State = ledger.StateRevoking
	case ledger.StateRevoking, ledger.StateSearching, ledger.StateExpiring, ledger.StateUnreadable:
	}
	if entry.State != before {
		c.Logger().Info("revoking a credential that no lease holds", logOf(entry, "state", before)...)
		if err := c.Ledger.Update(ctx, storage, entry); err != nil {
			if errors.Is(err, ledger.ErrChanged) {
				return outcome{}, nil
			}
			return outcome{}, err
		}
	}
	return c.joinOrRevoke(ctx, storage, entry)
}

// action is what a sweep does about an entry.
type action int

const (
	actionNone action = iota
	actionCheckHolders
	actionRevoke
)

// nextAction decides by the entry alone, so that the result does not depend on the caller, except that
// ignoreBackoff skips the pause after a failed attempt. No entry is deleted here because of its age: revoking
// asks the vendor wherever it can be asked.
func nextAction(entry *ledger.Entry, now time.Time, ignoreBackoff bool) action {
	expired := now.After(entry.ExpiresAt.Add(ExpiryGrace))
	// No request lasts that long: what it was working on is complete, or its process has died. An intent of the
	// future was written by a clock that was ahead.
	old := now.Sub(entry.CreatedAt).Abs() > IssueDeadline
	isDue := ignoreBackoff || due(entry, now)
	switch entry.State {
	case ledger.StateIssuing:
		if old {
			return actionRevoke
		}
	case ledger.StateLive:
		switch {
		case expired && !entry.ExpiryNotEnforced:
			return actionRevoke
		case entry.IsShared() && old:
			return actionCheckHolders
		case !entry.IsShared() && now.After(entry.LeaseExpiresAt.Add(LostLeaseGrace)):
			return actionRevoke
		}
	case ledger.StateRevoking, ledger.StateSearching:
		if isDue {
			return actionRevoke
		}
	case ledger.StateExpiring:
		if expired && isDue {
			return actionRevoke
		}
	case ledger.StateUnreadable:
	}
	return actionNone
}

// Schedule returns when a sweep has to look at an entry: not later than nextAction asks for something, and earlier if
// that costs nothing. It is for ledger.Options.
func Schedule(entry *ledger.Entry) ledger.Schedule {
	expired := entry.ExpiresAt.Add(ExpiryGrace)
	old := ledger.Schedule{At: entry.CreatedAt.Add(IssueDeadline), NotBefore: entry.CreatedAt.Add(-IssueDeadline)}
	retry := ledger.Schedule{At: entry.NextAttemptAt}
	if !entry.NextAttemptAt.IsZero() {
		retry.NotBefore = entry.NextAttemptAt.Add(-longestPause(entry))
	}
	switch entry.State {
	case ledger.StateIssuing:
		return old
	case ledger.StateLive:
		live := ledger.Schedule{At: entry.LeaseExpiresAt.Add(LostLeaseGrace)}
		if entry.IsShared() {
			live = old // from then on, its holders are looked at
		}
		if !entry.ExpiryNotEnforced && expired.Before(live.At) {
			live.At = expired
		}
		return live
	case ledger.StateRevoking, ledger.StateSearching:
		return retry
	case ledger.StateExpiring:
		if retry.At.Before(expired) {
			retry.At = expired
		}
		return retry
	case ledger.StateUnreadable:
	}
	return ledger.Schedule{} // reported once
}

// due reports whether the pause before the next attempt is over. A pause that is longer than the longest one was
// computed by a clock that was ahead.
func due(entry *ledger.Entry, now time.Time) bool {
	pause := entry.NextAttemptAt.Sub(now)
	return pause <= 0 || pause > longestPause(entry)
}

// longestPause is the longest pause that is ever made before the next attempt.
func longestPause(entry *ledger.Entry) time.Duration {
	if entry.State == ledger.StateSearching {
		return max(MaxSearchPause, MaxRetryPause)
	}
	return MaxRetryPause
}
