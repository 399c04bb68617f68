package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Revoke ends a lease's credential at the vendor, or, if others share it, the lease's part in it. It waits for the vendor
// and for a turn for [Options].RevokePatience at most. A failure is returned, and the revocation goes on, or the background
// work retries, until the vendor confirms.
func (c *Credentials) Revoke(ctx context.Context, storage logical.Storage, reference Reference) error {
	if reference.Holder != "" {
		last, err := c.Ledger.Detach(ctx, storage, reference.Config, reference.ID, reference.Holder)
		if err != nil || !last {
			return err
		}
		failpoint.Hit("revoke.detached")
		c.shared.forgetEntry(reference.ID)
	}
	entry, err := c.Ledger.Get(ctx, storage, reference.Config, reference.ID)
	if err != nil {
		return err
	}
	if entry == nil {
		// Entries are deleted only once the vendor has confirmed: an earlier attempt succeeded. Removing the
		// entry again drops what is in memory about its holders.
		return c.Ledger.Remove(ctx, storage, reference.Config, reference.ID)
	}
	return c.revokeWithin(ctx, storage, entry)
}

// outcome is what became of an entry.
type outcome struct {
	// deleted is true when the entry was deleted.
	deleted bool
	// drained is true when the config is retired and has no entries left.
	drained bool
}

// revoke revokes an entry's credential at the vendor and deletes the entry. If that fails, the entry records
// it, and the background work retries. A vendor that can be asked is asked, also after the credential's expiry:
// the wall clock may be wrong. Revoking twice is harmless.
func (c *Credentials) revoke(ctx context.Context, storage logical.Storage, entry *ledger.Entry) (outcome, error) {
	config, conn, err := c.Acquire(ctx, storage, entry.Config)
	if err != nil {
		c.scheduleRetry(ctx, storage, entry, err)
		return outcome{}, err
	}
	defer conn.Release()
	return c.revokeOn(ctx, storage, entry, config, conn)
}

// revokeOn is revoke on a connection that the caller has acquired.
func (c *Credentials) revokeOn(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config, conn *pool.Conn) (outcome, error) {
	vendor := c.Providers[config.Vendor]
	if err := config.CheckOrigin(vendor, entry.Origin); err != nil {
		if c.hasExpired(entry) {
			return c.deleteExpired(ctx, storage, entry, config) // its vendor cannot be asked under this config
		}
		c.scheduleRetry(ctx, storage, entry, err)
		return outcome{}, err
	}
	can := vendor.Capabilities()
	switch {
	case entry.Handle == nil && can.Marker != "":
		return c.search(ctx, storage, entry, config, conn)
	case entry.Handle == nil || !canRevoke(conn.Connection, can):
		return c.keepUntilExpiry(ctx, storage, entry, config)
	}
	if err := c.checkNotExtended(ctx, storage, entry, config, conn); err != nil {
		c.scheduleRetry(ctx, storage, entry, err)
		return outcome{}, err
	}
	failpoint.Hit("revoke.begun")
	err := c.Pool.Call(ctx, conn, config.Vendor, pool.OperationRevoke, func(ctx context.Context) error {
		return revokeAtVendor(ctx, conn, entry.Handle)
	})
	if err != nil {
		c.scheduleRetry(ctx, storage, entry, err)
		return outcome{}, err
	}
	failpoint.Hit("revoke.revoked")
	c.SendEvent(ctx, EventRevoke, metadataOf(entry)...)
	return c.deleteEntry(ctx, storage, entry, config)
}

// canRevoke reports whether the vendor can end a credential before its expiry, under this configuration.
func canRevoke(conn provider.Connection, can provider.Capabilities) bool {
	if conditional, ok := conn.(provider.ConditionalRevoker); ok && !conditional.CanRevoke() {
		return false
	}
	return can.Revokes
}

// revokeAtVendor asks the vendor to end the credential of a handle.
func revokeAtVendor(ctx context.Context, conn *pool.Conn, handle json.RawMessage) error {
	revoker, ok := conn.Connection.(provider.Revoker)
	if !ok {
		return fmt.Errorf("the vendor's connection %T cannot revoke although its capabilities say so", conn.Connection)
	}
	return revoker.Revoke(ctx, handle)
}

// deleteEntry deletes an entry whose credential has ended. config may be nil.
func (c *Credentials) deleteEntry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config) (outcome, error) {
	ctx = context.WithoutCancel(ctx)
	if entry.IsShared() {
		c.shared.forgetEntry(entry.ID)
		c.usedHere.Delete(entry.ID)
		// Holders are left only after the expiry: their leases were lost.
		if err := c.Ledger.DetachAll(ctx, storage, entry.Config, entry.ID); err != nil {
			return outcome{}, err
		}
	}
	if err := c.Ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
		return outcome{}, err
	}
	if entry.Handle != nil { // not an intent, nor an entry that an operator abandons
		c.Pool.Metrics.CountRevoked(entry.Config, entry.Role)
	}
	result := outcome{deleted: true}
	if config == nil || !config.Retired {
		return result, nil
	}
	// After a start, the number of entries may not be known yet. Then the next sweep finds out.
	result.drained = c.Ledger.IsEmpty(entry.Config)
	return result, nil
}

// keepUntilExpiry keeps the entry of a credential that its vendor cannot revoke, until it has expired.
func (c *Credentials) keepUntilExpiry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config) (outcome, error) {
	if c.hasExpired(entry) {
		return c.deleteExpired(ctx, storage, entry, config)
	}
	if entry.State == ledger.StateExpiring {
		return outcome{}, nil
	}
	entry.State = ledger.StateExpiring
	return outcome{}, c.Ledger.Update(ctx, storage, entry)
}

// scheduleRetry records that a revocation or a search failed and when to retry it. While the vendor is not
// asked, nothing new is known: then it writes only what shortens the pause.
func (c *Credentials) scheduleRetry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	recorded, err := c.recordRetry(ctx, storage, entry, cause)
	if err == nil && !recorded {
		return
	}
	if err != nil {
		c.Logger().Error("a failed revocation could not be recorded", logOf(entry, "error", err)...)
	}
	c.SendEvent(ctx, EventRevokeFail, append(metadataOf(entry),
		"attempts", strconv.Itoa(entry.Attempts), "next_attempt_at", formatTime(entry.NextAttemptAt))...)
	c.Logger().Warn("a revocation failed and will be retried",
		logOf(entry, "attempts", entry.Attempts, "next_attempt_at", formatTime(entry.NextAttemptAt), "error", cause)...)
}

// recordRetry records a failed attempt in the ledger. It reports false if there is nothing to record: the entry was
// deleted, or it already says when the next attempt is due. If another request changes the entry at the same time, the
// changed entry decides. A renewal leaves it live, and it must end all the same. A revocation has recorded its own
// failure.
func (c *Credentials) recordRetry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, cause error) (recorded bool, err error) {
	return c.changeEntry(ctx, storage, entry, func(entry *ledger.Entry, again bool) bool {
		if again && entry.State != ledger.StateLive && entry.State != ledger.StateIssuing {
			return false
		}
		return retryOf(entry, cause, c.Clock.Now())
	})
}

// retryOf changes an entry to what a failed attempt at this time makes of it. It reports false if that is nothing.
func retryOf(entry *ledger.Entry, cause error, now time.Time) bool {
	notSent := errors.Is(cause, provider.ErrNotSent)
	marked := entry.State != ledger.StateLive && entry.State != ledger.StateIssuing
	if notSent && marked && !entry.NextAttemptAt.After(now.Add(MinRetryPause)) {
		return false
	}
	pause := min(MinRetryPause<<min(entry.Attempts, 10), MaxRetryPause)
	if notSent {
		pause = MinRetryPause // the vendor said nothing, so this does not count as an attempt
	} else {
		entry.Attempts++
		if entry.FailingSince.IsZero() {
			entry.FailingSince = now
		}
		pause = min(max(pause, provider.RetryAfterOf(cause)), MaxRetryPause)
	}
	switch entry.State {
	case ledger.StateLive:
		entry.State = ledger.StateRevoking
	case ledger.StateIssuing:
		entry.State = ledger.StateSearching
	case ledger.StateRevoking, ledger.StateSearching, ledger.StateExpiring, ledger.StateUnreadable:
	}
	entry.NextAttemptAt = now.Add(pause)
	entry.LastError = lastError(cause)
	return true
}

// Abandon deletes the entries of a config without asking the vendor, on the operator's decision, and returns those that
// it has deleted, also after an error. The credentials may live on at the vendor.
func (c *Credentials) Abandon(ctx context.Context, storage logical.Storage, config string) ([]ledger.Entry, error) {
	entries, err := c.Ledger.List(ctx, storage, config)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		entry := &entries[i]
		c.Logger().Warn("credential abandoned by the operator",
			logOf(entry, "state", entry.State, "expires_at", formatTime(entry.ExpiresAt), "last_error", entry.LastError)...)
		c.SendEvent(ctx, EventAbandon, append(metadataOf(entry), "expires_at", formatTime(entry.ExpiresAt))...)
		if _, err := c.deleteEntry(ctx, storage, entry, nil); err != nil {
			return entries[:i], err
		}
	}
	return entries, nil
}
