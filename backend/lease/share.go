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
// call only if there is no credential yet, if its remaining life is too short, or if the vendor has not confirmed it
// recently.
func (c *Credentials) attachShared(ctx context.Context, storage logical.Storage, p issueParams) (*sharedCredential, string, error) {
	holder, err := marker.NewID(c.Random)
	if err != nil {
		return nil, "", err
	}
	for range attachAttempts {
		now := c.Clock.Now()
		shared := c.shared.get(p.RoleName, p.shareKey())
		if shared == nil || !shared.canServe(p.lifetimes.TTL, now) || p.line().needsVendor(shared, p.lifetimes.TTL, p.lifetimes, now) {
			if shared, err = c.acquireShared(ctx, storage, p); err != nil {
				return nil, "", err
			}
		}
		now = c.Clock.Now()
		ttl := min(p.lifetimes.TTL, shared.maxLease(now))
		err = c.Ledger.Attach(ctx, storage, p.Role.Config, shared.entryID, ledger.Holder{
			ID: holder, LeaseExpiresAt: now.Add(ttl), IssuedAt: now, Requester: p.Requester,
		})
		if err == nil {
			c.usedHere.Store(shared.entryID, struct{}{})
			failpoint.Hit("share.attached")
			return shared, holder, nil
		}
		if !errors.Is(err, ledger.ErrDraining) {
			return nil, "", err
		}
		c.shared.forgetEntry(shared.entryID)
	}
	return nil, "", &provider.Error{
		Class: provider.ClassUnavailable, Message: "the shared credential ended several times while it was being read", Remedy: "read again",
	}
}

// line is the connection of an issue.
func (p *issueParams) line() vendorLine {
	return vendorLine{config: p.config, conn: p.conn, vendor: p.vendor}
}

// acquireShared finds the role's credential and has the vendor confirm it, or issues a new one: once for all readers that ask at
// the same time. A reader that gives up does not stop it for the others.
func (c *Credentials) acquireShared(ctx context.Context, storage logical.Storage, p issueParams) (*sharedCredential, error) {
	if err := c.checkServing(); err != nil {
		return nil, err
	}
	key := p.shareKey()
	done := c.shared.reads.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(c.Lifetime, issueTimeout)
		defer cancel()
		// The flight outlives the reader that began it, and so does its use of the connection.
		if !p.conn.Retain() {
			return nil, &provider.Error{Class: provider.ClassUnavailable, Message: "the config has just been changed", Remedy: "read again"}
		}
		return provider.CatchPanic("issue shared", func() (any, error) {
			defer p.conn.Release() // the last user of a replaced connection calls the driver
			return c.confirmOrIssue(ctx, storage, p, key)
		})
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

// confirmOrIssue is the work of acquireShared.
func (c *Credentials) confirmOrIssue(ctx context.Context, storage logical.Storage, p issueParams, key string) (*sharedCredential, error) {
	shared := c.shared.get(p.RoleName, key)
	if shared == nil {
		found, err := c.lookupShared(ctx, storage, p, key)
		if err != nil {
			return nil, err
		}
		shared = found
	}
	if shared != nil && shared.canServe(p.lifetimes.TTL, c.Clock.Now()) {
		err := c.confirmForRead(ctx, storage, p, shared)
		if err == nil {
			c.shared.set(p.RoleName, shared)
			return shared, nil
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
	shared.confirm(shared.expiresAt, c.Clock.Now())
	c.shared.set(p.RoleName, shared)
	return shared, nil
}

// confirmForRead has the vendor confirm a shared credential before it is given to a reader, unless that was done
// recently. ClassNotFound means that the credential has ended and that another one must be issued.
func (c *Credentials) confirmForRead(ctx context.Context, storage logical.Storage, p issueParams, shared *sharedCredential) error {
	ttl := p.lifetimes.TTL
	if !p.line().needsVendor(shared, ttl, p.lifetimes, c.Clock.Now()) {
		return nil
	}
	optional := func() bool {
		now := c.Clock.Now()
		return shared.covers(ttl, now) && shared.confirmedWithin(maxConfirmationAge, now)
	}
	err := c.confirm(ctx, storage, p.line(), shared, ttl, optional())
	if isTransient(err) && optional() {
		return nil
	}
	return err
}

// lookupShared searches the ledger for the newest credential of this share key, which memory does not have
// after a restart. It waits until the shared credentials are loaded, and not for the other entries.
func (c *Credentials) lookupShared(ctx context.Context, storage logical.Storage, p issueParams, key string) (*sharedCredential, error) {
	entries, err := c.Ledger.Shareable(ctx, storage, p.Role.Config, key)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		held, err := c.Ledger.HasHolders(ctx, storage, p.Role.Config, entries[i].ID)
		if err != nil {
			return nil, err
		}
		if !held {
			continue
		}
		entry, err := c.Ledger.Get(ctx, storage, p.Role.Config, entries[i].ID)
		if err != nil {
			return nil, err
		}
		if entry == nil || entry.State != ledger.StateLive {
			continue
		}
		read, err := decodeShared(entry)
		if err != nil {
			return nil, err
		}
		return c.shared.add(read), nil
	}
	return nil, nil
}
