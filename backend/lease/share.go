package lease

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// issueTimeout bounds an issue for which many readers wait. It runs on a context of its own.
	issueTimeout = 75 * time.Second

	// attachAttempts is how often a reader looks for a credential to share. Each failure means that the last
	// holder of the credential left at that very moment.
	attachAttempts = 5
)

// attachShared makes the reader a holder of the role's credential. It makes one storage write, and a vendor
// call only if there is no credential yet or its remaining life is too short.
func (c *Credentials) attachShared(ctx context.Context, storage logical.Storage, p issueParams) (*sharedCredential, string, error) {
	holder, err := marker.NewID(c.Random)
	if err != nil {
		return nil, "", err
	}
	for range attachAttempts {
		shared := c.shared.get(p.RoleName, p.shareKey())
		if shared == nil || !shared.canServe(p.lifetimes.TTL, c.Clock.Now()) || !c.coversTTL(shared, p) {
			if shared, err = c.acquireShared(ctx, storage, p); err != nil {
				return nil, "", err
			}
		}
		err = c.Ledger.Attach(ctx, storage, p.Role.Config, shared.entryID, holder, c.Clock.Now().Add(p.lifetimes.TTL))
		if err == nil {
			failpoint.Hit("share.attached")
			return shared, holder, nil
		}
		if !errors.Is(err, ledger.ErrDraining) {
			return nil, "", err
		}
		c.shared.forget(p.RoleName, shared.entryID)
	}
	return nil, "", &provider.Error{
		Class: provider.ClassUnavailable, Message: "the shared credential ended several times while it was being read", Remedy: "read again",
	}
}

// coversTTL reports whether the vendor's end of a credential covers a new lease without being moved.
func (c *Credentials) coversTTL(shared *sharedCredential, p issueParams) bool {
	return p.vendor.Capabilities().Renewal != provider.RenewalExtends ||
		shared.expiresAt.Sub(c.Clock.Now()) >= min(p.lifetimes.TTL, shared.remaining(c.Clock.Now()))
}

// acquireShared finds the role's credential, extends it, or issues a new one: once for all readers that ask at
// the same time. A reader that gives up does not stop it for the others.
func (c *Credentials) acquireShared(ctx context.Context, storage logical.Storage, p issueParams) (*sharedCredential, error) {
	key := p.shareKey()
	done := c.shared.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(c.Lifetime, issueTimeout)
		defer cancel()
		// The flight outlives the reader that began it, and so does its use of the connection.
		if !p.conn.Retain() {
			return nil, &provider.Error{Class: provider.ClassUnavailable, Message: "the config has just been changed", Remedy: "read again"}
		}
		defer p.conn.Release()
		return provider.CatchPanic("issue shared", func() (any, error) { return c.renewOrIssue(ctx, storage, p, key) })
	})
	select {
	case result := <-done:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*sharedCredential), nil
	case <-ctx.Done():
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Message: "the caller gave up while a shared credential was being issued", Err: ctx.Err(),
		}
	}
}

// renewOrIssue is the work of acquireShared.
func (c *Credentials) renewOrIssue(ctx context.Context, storage logical.Storage, p issueParams, key string) (*sharedCredential, error) {
	shared := c.shared.get(p.RoleName, key)
	if shared == nil {
		found, err := c.lookupShared(ctx, storage, p, key)
		if err != nil {
			return nil, err
		}
		shared = found
	}
	if shared != nil && shared.canServe(p.lifetimes.TTL, c.Clock.Now()) {
		if c.coversTTL(shared, p) {
			c.shared.set(p.RoleName, shared)
			return shared, nil
		}
		extended, err := c.extendShared(ctx, storage, p, shared)
		if err == nil {
			return extended, nil
		}
		if provider.ClassOf(err) != provider.ClassNotFound {
			return nil, err
		}
	}

	issued, err := c.issue(ctx, storage, p)
	if err != nil {
		return nil, err
	}
	shared, err = decodeShared(issued.entry)
	if err != nil {
		return nil, err
	}
	c.shared.set(p.RoleName, shared)
	return shared, nil
}

// lookupShared searches the ledger for the newest credential of this share key, which memory does not have
// after a restart.
func (c *Credentials) lookupShared(ctx context.Context, storage logical.Storage, p issueParams, key string) (*sharedCredential, error) {
	entries, err := c.Ledger.List(ctx, storage, p.Role.Config)
	if err != nil {
		return nil, err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].ShareKey != key || entries[i].State != ledger.StateLive {
			continue
		}
		held, err := c.Ledger.HasHolders(ctx, storage, entries[i].ID)
		if err != nil {
			return nil, err
		}
		if !held {
			continue
		}
		entry, err := c.Ledger.Get(ctx, storage, p.Role.Config, entries[i].ID)
		if err != nil || entry == nil {
			return nil, err
		}
		return decodeShared(entry)
	}
	return nil, nil
}

// extendShared renews the credential at a vendor that moves the end, so that a new lease fits.
func (c *Credentials) extendShared(ctx context.Context, storage logical.Storage, p issueParams, shared *sharedCredential) (*sharedCredential, error) {
	entry, err := c.Ledger.Get(ctx, storage, p.Role.Config, shared.entryID)
	if err != nil {
		return nil, err
	}
	if entry != nil && (entry.State != ledger.StateLive || p.config.CheckOrigin(p.vendor, entry.Origin) != nil) {
		entry = nil
	}
	driver, ok := p.conn.Connection.(provider.Renewer)
	if entry == nil || !ok {
		return nil, &provider.Error{Class: provider.ClassNotFound, Message: "the shared credential has ended"}
	}
	if err := c.extendExpiry(ctx, storage, entry, c.renewFuncOf(p.conn, p.config.Vendor, driver), p.lifetimes.TTL); err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			c.unshare(ctx, storage, entry)
		}
		return nil, err
	}
	extended := *shared
	extended.expiresAt = entry.ExpiresAt
	c.shared.set(p.RoleName, &extended)
	return &extended, nil
}

// extendExpiry makes sure that a shared credential works for a lease of the given TTL from now. It never
// shortens the life that other leases count on.
func (c *Credentials) extendExpiry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, renew renewFunc, ttl time.Duration) error {
	now := c.Clock.Now()
	lifetime := max(min(ttl, entry.MaxExpiresAt.Sub(now))+lifetimeMargin, entry.ExpiresAt.Sub(now))
	expiresAt, err := renew(ctx, entry.Handle, lifetime.Truncate(time.Second))
	if err != nil {
		return err
	}
	for !expiresAt.Equal(entry.ExpiresAt) {
		entry.ExpiresAt = expiresAt
		err := c.Ledger.Update(ctx, storage, entry)
		if !errors.Is(err, ledger.ErrChanged) {
			return err
		}
		// Other holders renew at the same time, or the last holder has left.
		current, err := c.Ledger.Get(ctx, storage, entry.Config, entry.ID)
		if err != nil {
			return err
		}
		if current == nil || current.State != ledger.StateLive {
			return errRevoked
		}
		*entry = *current
		if !entry.ExpiresAt.Before(expiresAt) {
			return nil
		}
	}
	return nil
}

// unshare gives a credential that the vendor has ended to no more readers. Its holders learn of it when they
// renew.
func (c *Credentials) unshare(ctx context.Context, storage logical.Storage, entry *ledger.Entry) {
	c.shared.forgetEntry(entry.ID)
	entry.ShareKey = ""
	if err := c.Ledger.Update(context.WithoutCancel(ctx), storage, entry); err != nil {
		c.Logger().Warn("a shared credential that has ended could not be marked", "config", entry.Config, "id", entry.ID, "error", err)
	}
}
