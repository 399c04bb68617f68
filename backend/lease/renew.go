package lease

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

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

// refusalAge is how old a lease is at least when its renewal is refused. Vault Agent renews a new lease at once, and
// reads again when that fails. It numbers what it reads by the second of the clock, and drops what it reads twice in
// the same second: it would keep a dead credential in its file, and renew the lease of a live one.
const refusalAge = 2 * time.Second

// Renewed is a lease's new terms.
type Renewed struct {
	// TTL is how long the lease lasts from now.
	TTL time.Duration
	// MaxTTL is the limit from the lease's issue. Vault computes the lease's end again, from the client's
	// increment and up to this limit, so that it ends before the credential does.
	MaxTTL time.Duration
}

// Renewal is a request to renew a lease.
type Renewal struct {
	// Role is the role of the lease as it is now.
	Role *store.Role
	// Reference finds the credential.
	Reference Reference
	// Increment is the TTL that the client asks for; zero for the role's.
	Increment time.Duration
	// IssuedAt is when Vault issued the lease.
	IssuedAt time.Time
}

// Renew renews a lease, and the credential itself at vendors that support it. It never shortens either of them.
// Renewals at the same time all succeed. ClassNotFound means that the credential has ended.
func (c *Credentials) Renew(ctx context.Context, storage logical.Storage, renewal Renewal) (*Renewed, error) {
	renew := c.renewExclusive
	if renewal.Reference.Holder != "" {
		renew = c.renewShared
	}
	renewed, err := renew(ctx, storage, renewal)
	if err != nil {
		c.delayRefusal(ctx, renewal.IssuedAt)
		return nil, err
	}
	c.Pool.Metrics.CountRenewed(renewal.Reference.Config, renewal.Reference.Role)
	return renewed, nil
}

// delayRefusal waits until a lease is old enough for the refusal of its renewal.
func (c *Credentials) delayRefusal(ctx context.Context, issuedAt time.Time) {
	age := c.Clock.Now().Sub(issuedAt)
	if age < 0 || age >= refusalAge {
		return
	}
	select {
	case <-c.Clock.After(refusalAge - age):
	case <-ctx.Done():
	}
}

// renewExclusive renews the lease on a credential of its own.
func (c *Credentials) renewExclusive(ctx context.Context, storage logical.Storage, renewal Renewal) (*Renewed, error) {
	reference := renewal.Reference
	release, err := c.turns.take(ctx, reference.ID)
	if err != nil {
		return nil, err
	}
	defer release()
	entry, err := c.Ledger.Get(ctx, storage, reference.Config, reference.ID)
	if err != nil {
		return nil, err
	}
	if entry == nil || entry.State != ledger.StateLive {
		return nil, errRevoked
	}
	config, conn, err := c.acquireAt(ctx, storage, reference.Config, entry.Origin)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	vendor := c.Providers[config.Vendor]
	driver, ok := conn.Connection.(provider.Renewer)
	if !ok {
		return nil, notRenewable(config.Vendor, reference.Role)
	}
	limits := c.Lifetimes(renewal.Role, conn.MaxLifetime(), vendor.Capabilities().Renewal)
	ttl, err := renewal.requestedTTL(limits, c.Clock.Now())
	if err != nil {
		return nil, err
	}
	ttl, err = c.extendExclusive(ctx, storage, entry, c.renewFuncOf(conn, config.Vendor, driver), ttl, conn.MaxLifetime())
	if err != nil {
		return nil, err
	}
	return renewal.renewed(ttl, limits, entry.ExpiresAt), nil
}

// acquireAt acquires a config for a credential that was issued at an origin, and refuses another origin. It checks that
// first, so that a renewal which must be refused causes no logins, and again if Acquire returns a changed config.
func (c *Credentials) acquireAt(ctx context.Context, storage logical.Storage, name, origin string) (*store.Config, *pool.Conn, error) {
	checked, err := c.Store.Config(ctx, storage, name)
	if err != nil {
		return nil, nil, err
	}
	if checked != nil { // Acquire reports a config that does not exist
		if err := checked.CheckOrigin(c.Providers[checked.Vendor], origin); err != nil {
			return nil, nil, err
		}
	}
	config, conn, err := c.Acquire(ctx, storage, name)
	if err != nil || config == checked {
		return config, conn, err
	}
	if err := config.CheckOrigin(c.Providers[config.Vendor], origin); err != nil {
		conn.Release()
		return nil, nil, err
	}
	return config, conn, nil
}

func notRenewable(vendor, role string) error {
	return &provider.Error{
		Class: provider.ClassInvalid, Message: fmt.Sprintf("credentials of vendor %q cannot be renewed", vendor),
		Remedy: "read a new one from creds/" + role,
	}
}

// requestedTTL computes what Vault's core makes of the request (framework.CalculateTTL), so that the vendor is asked
// for what the lease will promise. Like core, it counts from whole seconds.
func (r *Renewal) requestedTTL(limits Lifetimes, now time.Time) (time.Duration, error) {
	ttl := limits.TTL
	if r.Increment > 0 {
		ttl = r.Increment
	}
	remaining := limits.MaxTTL
	if !r.IssuedAt.IsZero() {
		remaining = r.IssuedAt.Truncate(time.Second).Add(limits.MaxTTL).Sub(now.Truncate(time.Second))
	}
	if remaining <= 0 {
		return 0, &provider.Error{Class: provider.ClassInvalid, Message: "the lease has reached its max_ttl", Remedy: "read a new one from creds/" + r.Reference.Role}
	}
	return min(ttl, remaining), nil
}

// renewed returns the terms of a lease that was renewed for ttl, on a credential that ends at expiresAt.
//
// Core cuts fractions of seconds off the issue time and off the present time, and adds the result to the present
// time: a lease can end up to a second after issue time plus MaxTTL. So MaxTTL reaches to a second before the
// credential's end, and not just to now plus ttl: core would compute one second less than ttl every other time.
func (r *Renewal) renewed(ttl time.Duration, limits Lifetimes, expiresAt time.Time) *Renewed {
	result := &Renewed{TTL: ttl, MaxTTL: limits.MaxTTL}
	if !r.IssuedAt.IsZero() {
		// At least a second: core takes zero for no limit.
		result.MaxTTL = min(limits.MaxTTL, max(maxLeaseTTL(expiresAt.Sub(r.IssuedAt.Truncate(time.Second))), time.Second))
	}
	return result
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

// extendExclusive renews a credential that one lease holds at the vendor, records it, and returns the TTL that the
// lease can have. longest is what the vendor grants at once.
func (c *Credentials) extendExclusive(
	ctx context.Context, storage logical.Storage, entry *ledger.Entry, renew renewFunc, ttl, longest time.Duration,
) (time.Duration, error) {
	failpoint.Hit("renew.begun")
	// Never an earlier end than before: the lease keeps its previous end if this renewal fails half way, or if Vault
	// refuses it afterwards.
	now := c.Clock.Now()
	leased := max(ttl, entry.LeaseExpiresAt.Sub(now))
	lifetime := max(wholeSeconds(leased+lifetimeMargin), wholeSeconds(entry.ExpiresAt.Sub(now)))
	if err := c.noteLatestEnd(ctx, storage, entry, now.Add(leased), longest); err != nil {
		return 0, err
	}
	expiresAt, err := renew(ctx, entry.Handle, lifetime)
	if err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			c.endExclusive(ctx, storage, entry)
		}
		return 0, err
	}
	failpoint.Hit("renew.renewed")
	now = c.Clock.Now()
	ttl = min(ttl, maxLeaseTTL(expiresAt.Sub(now)))
	if ttl <= 0 {
		return 0, errExpired
	}
	return ttl, c.recordRenewal(ctx, storage, entry, expiresAt, now.Add(ttl))
}

// recordRenewal records the new ends of a credential and its lease. The lease's end never moves to an earlier time:
// Vault may refuse the renewal afterwards, and the lease keeps its previous end then.
func (c *Credentials) recordRenewal(ctx context.Context, storage logical.Storage, entry *ledger.Entry, expiresAt, leaseExpiresAt time.Time) error {
	// The vendor has moved the end, so it must be recorded whether or not the caller still waits.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	changed, err := c.changeEntry(ctx, storage, entry, func(entry *ledger.Entry, again bool) bool {
		if again && entry.State != ledger.StateLive {
			return false
		}
		entry.ExpiresAt = expiresAt
		if leaseExpiresAt.After(entry.LeaseExpiresAt) {
			entry.LeaseExpiresAt = leaseExpiresAt
		}
		return true
	})
	if err == nil && !changed {
		return errRevoked
	}
	return err
}

// endExclusive marks a credential that the vendor has ended, so that its slot is given back before its lease ends.
func (c *Credentials) endExclusive(ctx context.Context, storage logical.Storage, entry *ledger.Entry) {
	if err := c.markEnded(context.WithoutCancel(ctx), storage, entry); err != nil {
		c.Logger().Warn("a credential that has ended could not be marked", logOf(entry, "error", err)...)
	}
}
