package lease

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// renewShared renews one holder's lease on a shared credential. It makes at most one storage write. It makes a vendor
// call only if the lease does not fit before the credential's end, or if the vendor has not confirmed the credential
// recently. A warm renewal reads no storage.
//
// If the vendor gives no answer about the credential, the lease is renewed up to the recorded end: a client whose
// renewal fails reads another credential, which the vendor could not issue either.
func (c *Credentials) renewShared(ctx context.Context, storage logical.Storage, renewal Renewal) (*Renewed, error) {
	reference := renewal.Reference
	shared, err := c.lookupHeld(ctx, storage, reference)
	if err != nil {
		return nil, err
	}
	limits, ttl, confirmErr := c.confirmForRenewal(ctx, storage, renewal, shared)
	if limits == nil || provider.ClassOf(confirmErr) == provider.ClassNotFound {
		return nil, confirmErr
	}
	now := c.Clock.Now()
	ttl = min(ttl, shared.maxLease(now))
	if ttl <= 0 {
		if confirmErr != nil {
			return nil, confirmErr
		}
		return nil, errExpired
	}
	if confirmErr != nil {
		c.Logger().Debug("a lease was renewed up to the recorded end of its credential, which the vendor could not confirm",
			"config", reference.Config, "role", reference.Role, "credential_id", reference.ID, "error", confirmErr)
	}
	err = c.Ledger.Extend(ctx, storage, reference.Config, reference.ID, reference.Holder, now.Add(ttl))
	if errors.Is(err, ledger.ErrDraining) {
		return nil, errRevoked
	}
	if err != nil {
		return nil, err
	}
	c.usedHere.Store(reference.ID, struct{}{})
	expiresAt := shared.expiry()
	if shared.maxExpiresAt.Before(expiresAt) {
		expiresAt = shared.maxExpiresAt
	}
	return renewal.renewed(ttl, *limits, expiresAt), nil
}

// lookupHeld returns the credential of a holder's lease. It reads storage only if this process has not used the
// credential yet.
func (c *Credentials) lookupHeld(ctx context.Context, storage logical.Storage, reference Reference) (*sharedCredential, error) {
	if known := c.shared.byID(reference.ID); known != nil {
		return known, nil
	}
	entry, err := c.Ledger.Get(ctx, storage, reference.Config, reference.ID)
	if err != nil {
		return nil, err
	}
	if entry == nil || entry.State != ledger.StateLive {
		return nil, errRevoked
	}
	read, err := decodeShared(entry)
	if err != nil {
		return nil, err
	}
	return c.shared.add(read), nil
}

// confirmForRenewal returns the TTL that a renewal asks for, and has the vendor confirm the credential unless that
// was done recently. With limits, an error means that the vendor gave no answer about the credential, or, if it is
// ClassNotFound, that the credential has ended. Without limits, the renewal is refused with the error.
func (c *Credentials) confirmForRenewal(ctx context.Context, storage logical.Storage, renewal Renewal, shared *sharedCredential) (*Lifetimes, time.Duration, error) {
	config, conn, err := c.acquireAt(ctx, storage, renewal.Reference.Config, shared.origin)
	if err != nil {
		if !mayRenewUnconfirmed(err) {
			return nil, 0, err
		}
		limits := c.Lifetimes(renewal.Role, 0, provider.RenewalExtends)
		ttl, ttlErr := renewal.requestedTTL(limits, c.Clock.Now())
		if ttlErr != nil {
			return nil, 0, ttlErr
		}
		return &limits, ttl, err
	}
	defer conn.Release()
	line := vendorLine{config: config, conn: conn, vendor: c.Providers[config.Vendor]}
	if !line.canConfirm() {
		return nil, 0, notRenewable(config.Vendor, renewal.Reference.Role)
	}
	limits := c.Lifetimes(renewal.Role, conn.MaxLifetime(), line.vendor.Capabilities().Renewal)
	ttl, err := renewal.requestedTTL(limits, c.Clock.Now())
	if err != nil {
		return nil, 0, err
	}
	if now := c.Clock.Now(); line.needsVendor(shared, ttl, limits, now) {
		err = c.confirm(ctx, storage, line, shared, ttl, shared.maxLease(now) > 0)
		if err != nil && provider.ClassOf(err) != provider.ClassNotFound && !mayRenewUnconfirmed(err) {
			return nil, 0, err
		}
	}
	return &limits, ttl, err
}

// mayRenewUnconfirmed reports whether a failure leaves it open whether a shared credential works: the vendor could not
// be asked, or refused the root credential, without which the engine cannot find out.
func mayRenewUnconfirmed(err error) bool {
	switch provider.ClassOf(err) {
	case provider.ClassUnauthenticated, provider.ClassForbidden:
		return true
	default:
		return isTransient(err)
	}
}
