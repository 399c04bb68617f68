package lease

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Reads and renewals of a shared credential must agree about whether it works. Clients such as Vault Agent read
// again as soon as a renewal fails. If that read returned the same credential under a new lease, each client would
// loop and make several leases a second.
//
//   - Both ask the vendor when its last confirmation is older than confirmAge.
//   - If the vendor says that the credential has ended, it is given to no more readers, all renewals of it fail, and
//     the next read issues another one.
//   - If the vendor gives no answer about it, renewals succeed up to the recorded end. Reads succeed only if the vendor
//     confirmed the credential within maxConfirmationAge and the failure says nothing about it.
const (
	// maxConfirmationAge is how old a confirmation may be for a read while the vendor cannot be asked.
	maxConfirmationAge = 5 * time.Minute

	// confirmWait is how long a request waits for the vendor if it can do without. It is shorter than the timeout of
	// Vault's client, 60 seconds, which would count as a failed renewal.
	confirmWait = 10 * time.Second

	// confirmTimeout bounds the call itself, which goes on for other requests.
	confirmTimeout = 75 * time.Second
)

// confirmInterval is for how long at most a confirmation is used without another call; see confirmAge.
var confirmInterval = failpoint.Wait(30*time.Second, 0)

// confirmAge is how old a confirmation may be that is used without another call, on a role with this ttl. It bounds the
// vendor calls of a shared credential, whatever the number of its readers and leases. Clients renew after two thirds of
// a lease, so each learns within one ttl that its credential has ended.
func confirmAge(roleTTL time.Duration) time.Duration { return min(confirmInterval, roleTTL/3) }

// vendorLine is what a request needs to call the vendor of a config. The caller holds the connection.
type vendorLine struct {
	config *store.Config
	conn   *pool.Conn
	vendor provider.Provider
}

// canConfirm reports whether the vendor can be asked whether a credential still works.
func (l vendorLine) canConfirm() bool {
	_, ok := l.conn.Connection.(provider.Renewer)
	return ok
}

// needsVendor reports whether the vendor must be asked before a lease of this TTL is promised, on a role with these
// limits.
func (l vendorLine) needsVendor(shared *sharedCredential, ttl time.Duration, limits Lifetimes, now time.Time) bool {
	current := shared.covers(ttl, now) && shared.confirmedWithin(confirmAge(limits.TTL), now)
	return l.canConfirm() && !current
}

// confirm asks the vendor whether a shared credential works, and moves its end where renewals do that, so that a
// lease of this TTL fits. Requests at the same time share one call. A request that can do without the confirmation
// (optional) waits for confirmWait at most. ClassNotFound means that the credential has ended; it is then marked so in
// the ledger.
func (c *Credentials) confirm(ctx context.Context, storage logical.Storage, line vendorLine, shared *sharedCredential, ttl time.Duration, optional bool) error {
	done := c.shared.confirmations.DoChan(shared.entryID, func() (any, error) {
		ctx, cancel := context.WithTimeout(c.Lifetime, confirmTimeout)
		defer cancel()
		// The call outlives the request that began it, and so does its use of the connection.
		if !line.conn.Retain() {
			return nil, &provider.Error{Class: provider.ClassUnavailable, Message: "the config has just been changed", Remedy: "try again", Err: provider.ErrNotSent}
		}
		return provider.CatchPanic("confirm shared", func() (any, error) {
			defer line.conn.Release() // the last user of a replaced connection calls the driver
			return nil, c.renewAtVendor(ctx, storage, line, shared, ttl)
		})
	})
	var waited <-chan time.Time
	if optional {
		waited = c.Clock.After(confirmWait)
	}
	select {
	case result := <-done:
		return result.Err
	case <-waited:
		return &provider.Error{Class: provider.ClassUnavailable, Message: "the vendor has not answered yet", Remedy: "try again"}
	case <-ctx.Done():
		return &provider.Error{
			Class: provider.ClassUnavailable, Message: "the caller gave up while the vendor was being asked", Err: ctx.Err(),
		}
	}
}

// renewAtVendor is the work of confirm. It writes to storage only if the credential has ended.
func (c *Credentials) renewAtVendor(ctx context.Context, storage logical.Storage, line vendorLine, shared *sharedCredential, ttl time.Duration) error {
	driver, ok := line.conn.Connection.(provider.Renewer)
	if !ok {
		return nil
	}
	if err := line.config.CheckOrigin(line.vendor, shared.origin); err != nil {
		return err
	}
	lastLease, known, err := c.Ledger.LastLeaseEnd(ctx, storage, shared.config, shared.entryID)
	if err != nil {
		return err
	}
	if !known {
		lastLease = shared.maxExpiresAt // no lease lasts longer
	}
	failpoint.Hit("share.confirm")
	now := c.Clock.Now()
	// Never an earlier end than before, as far as it is known, and not before the leases of other holders.
	needed := max(min(ttl, shared.remaining(now)), lastLease.Sub(now)) + lifetimeMargin
	renew := c.renewFuncOf(line.conn, line.config.Vendor, driver)
	// The present end is rounded down: rounded up, each confirmation would move it.
	expiresAt, err := renew(ctx, shared.handle, max(wholeSeconds(needed), shared.expiry().Sub(now).Truncate(time.Second)))
	switch {
	case provider.ClassOf(err) == provider.ClassNotFound:
		c.endShared(ctx, storage, shared)
		return err
	case err != nil:
		if !isTransient(err) {
			shared.doubt()
		}
		return err
	}
	shared.confirm(expiresAt, c.Clock.Now())
	c.Ledger.NoteExpiry(shared.config, shared.entryID, expiresAt)
	return nil
}

// isTransient reports whether a failure says only that the vendor could not be asked at this moment.
func isTransient(err error) bool {
	switch provider.ClassOf(err) {
	case provider.ClassUnavailable, provider.ClassRateLimited, provider.ClassAmbiguous:
		return true
	default:
		return false
	}
}

// endShared marks a shared credential that the vendor has ended: it is given to no more readers, and every renewal
// of it fails. The background work confirms it and deletes the entry.
func (c *Credentials) endShared(ctx context.Context, storage logical.Storage, shared *sharedCredential) {
	c.shared.forgetEntry(shared.entryID)
	entry, err := c.Ledger.Get(ctx, storage, shared.config, shared.entryID)
	if err == nil && (entry == nil || entry.State != ledger.StateLive) {
		return
	}
	if err == nil {
		err = c.markEnded(context.WithoutCancel(ctx), storage, entry)
	}
	if err != nil {
		c.Logger().Warn("a shared credential that has ended could not be marked", "config", shared.config, "credential_id", shared.entryID, "error", err)
	}
}

// Doubt makes the next reader of each of a config's shared credentials ask the vendor, after a check of the root
// credential has failed. It makes no call.
func (c *Credentials) Doubt(config string) {
	for _, shared := range c.shared.ofConfig(config) {
		shared.doubt()
	}
}
