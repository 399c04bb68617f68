package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// errExpired is the outcome of a renewal after the vendor's end.
var errExpired = &provider.Error{Class: provider.ClassNotFound, Message: "the credential has expired at the vendor"}

// errRevoked is the outcome of a renewal after a revocation.
var errRevoked = &provider.Error{Class: provider.ClassNotFound, Message: "the credential has been revoked"}

// Renewed is a lease's new terms.
type Renewed struct {
	// TTL is how long the lease lasts from now.
	TTL time.Duration
	// MaxTTL is the limit from the lease's issue. It ends with the recorded end of the lease: Vault computes
	// the end again from the client's increment, up to this limit.
	MaxTTL time.Duration
	// Warnings go into the answer.
	Warnings []string
}

// Renew renews a lease, and the credential itself at vendors that support it. Vault computes the lease's end
// from the result and from the client's increment, by the same rule as is used here, so that the vendor is
// asked for what the lease will promise. ClassNotFound means that the credential has ended.
func (c *Credentials) Renew(ctx context.Context, storage logical.Storage, role *store.Role, reference Reference, increment time.Duration, issueTime time.Time) (*Renewed, error) {
	entry, err := c.Ledger.Get(ctx, storage, reference.Config, reference.ID)
	if err != nil {
		return nil, err
	}
	if entry == nil || entry.State != ledger.StateLive {
		return nil, errRevoked
	}
	config, conn, err := c.Acquire(ctx, storage, reference.Config)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	vendor := c.Providers[config.Vendor]
	if err := config.CheckOrigin(vendor, entry.Origin); err != nil {
		return nil, err
	}
	driver, ok := conn.Connection.(provider.Renewer)
	if !ok {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Message: fmt.Sprintf("credentials of vendor %q cannot be renewed", config.Vendor),
			Remedy: "read a new one from creds/" + reference.Role,
		}
	}
	renew := c.renewFuncOf(conn, config.Vendor, driver)
	limits := c.Lifetimes(role, conn.MaxLifetime(), vendor.Capabilities().Renewal)
	ttl, _, err := framework.CalculateTTL(c.System(), increment, limits.TTL, 0, limits.MaxTTL, 0, issueTime)
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassInvalid, Message: err.Error()}
	}
	if reference.Holder != "" {
		ttl, err = c.renewShared(ctx, storage, entry, reference.Holder, renew, ttl)
	} else {
		ttl, err = c.renewExclusive(ctx, storage, entry, renew, ttl)
	}
	if err != nil {
		return nil, err
	}
	leaseExpiresAt := c.Clock.Now().Add(ttl)
	return &Renewed{
		TTL: ttl, MaxTTL: min(limits.MaxTTL, leaseExpiresAt.Sub(issueTime).Truncate(time.Second)), Warnings: limits.Warnings,
	}, nil
}

// renewFunc renews a credential at the vendor, as provider.Renewer does.
type renewFunc func(ctx context.Context, handle json.RawMessage, lifetime time.Duration) (time.Time, error)

// renewFuncOf sends a driver's renewals through the pool, as every vendor call.
func (c *Credentials) renewFuncOf(conn *pool.Conn, vendor string, driver provider.Renewer) renewFunc {
	return func(ctx context.Context, handle json.RawMessage, lifetime time.Duration) (expiresAt time.Time, err error) {
		err = c.Pool.Call(ctx, conn, vendor, pool.OperationRenew, func(ctx context.Context) (err error) {
			expiresAt, err = driver.Renew(ctx, handle, lifetime)
			return err
		})
		return expiresAt, err
	}
}

// renewExclusive renews a credential that one lease holds, and returns the TTL that the lease can have.
func (c *Credentials) renewExclusive(ctx context.Context, storage logical.Storage, entry *ledger.Entry, renew renewFunc, ttl time.Duration) (time.Duration, error) {
	failpoint.Hit("renew.begun")
	// Never an earlier end than before: if this renewal fails half way, the lease keeps its previous end.
	lifetime := max(ttl+lifetimeMargin, entry.ExpiresAt.Sub(c.Clock.Now()).Truncate(time.Second))
	expiresAt, err := renew(ctx, entry.Handle, lifetime)
	if err != nil {
		return 0, err
	}
	failpoint.Hit("renew.renewed")
	now := c.Clock.Now()
	ttl = min(ttl, maxLeaseTTL(expiresAt.Sub(now)))
	if ttl <= 0 {
		return 0, errExpired
	}
	entry.ExpiresAt, entry.LeaseExpiresAt = expiresAt, now.Add(ttl)
	if err := c.Ledger.Update(ctx, storage, entry); err != nil {
		if errors.Is(err, ledger.ErrChanged) {
			err = errRevoked
		}
		return 0, err
	}
	return ttl, nil
}

// renewShared renews one holder's lease on a shared credential, and returns the TTL that the lease can have.
func (c *Credentials) renewShared(ctx context.Context, storage logical.Storage, entry *ledger.Entry, holder string, renew renewFunc, ttl time.Duration) (time.Duration, error) {
	if err := c.extendExpiry(ctx, storage, entry, renew, ttl); err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			c.unshare(ctx, storage, entry)
		}
		return 0, err
	}
	now := c.Clock.Now()
	ttl = min(ttl, maxLeaseTTL(entry.ExpiresAt.Sub(now)), maxLeaseTTL(entry.MaxExpiresAt.Sub(now)))
	if ttl <= 0 {
		return 0, errExpired
	}
	err := c.Ledger.Extend(ctx, storage, entry.ID, holder, now.Add(ttl))
	if errors.Is(err, ledger.ErrDraining) {
		err = errRevoked
	}
	return ttl, err
}
