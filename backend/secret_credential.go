package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// secretCredentialType is the one type of secret of this engine.
const secretCredentialType = "vendor_credential"

func (b *backend) secretCredential() *framework.Secret {
	return &framework.Secret{
		Type: secretCredentialType,
		Fields: map[string]*framework.FieldSchema{
			"token": {Type: framework.TypeString, Description: "The secret to present to the vendor."},
		},
		Renew:  b.renew,
		Revoke: b.revokeCredential,
	}
}

// leaseData is what a lease keeps of its credential: where its account is. The handle, which can hold
// the leased secret, stays in the ledger.
type leaseData struct {
	Config, Role, ID string
	// Holder is the lease's part in a shared credential; empty when it has one of its own.
	Holder string
}

// leaseVersion is the schema version of a lease's internal data.
const leaseVersion = 1

func (l leaseData) internalData() map[string]any {
	internal := map[string]any{"version": leaseVersion, "config": l.Config, "role": l.Role, "id": l.ID}
	if l.Holder != "" {
		internal["holder"] = l.Holder
	}
	return internal
}

func parseLeaseData(internal map[string]any) (leaseData, error) {
	var lease leaseData
	for field, target := range map[string]*string{"config": &lease.Config, "role": &lease.Role, "id": &lease.ID} {
		value, ok := internal[field].(string)
		if !ok || value == "" {
			return lease, fmt.Errorf("the lease's internal data lacks %q", field)
		}
		*target = value
	}
	lease.Holder, _ = internal["holder"].(string)
	return lease, nil
}

// renew is renewCredential with its refusals as errors: Vault shows a refusal of a renewal that comes as a response
// in a form that nobody can read.
func (b *backend) renew(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	response, err := b.renewCredential(ctx, req, data)
	if err == nil && response.IsError() {
		return nil, logical.CodedError(http.StatusBadRequest, response.Error().Error())
	}
	return response, err
}

// renewCredential renews a lease, at the vendor where the vendor has a say in it. Vault computes the
// lease's end from the TTL and MaxTTL set here and from the client's increment, by the same rule as is
// used here beforehand, so that the vendor is asked for what the lease will promise.
func (b *backend) renewCredential(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	lease, err := parseLeaseData(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	where := fmt.Sprintf("role %q, config %q", lease.Role, lease.Config)
	role, err := b.role(ctx, req.Storage, lease.Role)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return logical.ErrorResponse("role %q was deleted: its leases run to their end and are not renewed", lease.Role), nil
	}
	entry, err := b.ledger.Get(ctx, req.Storage, lease.Config, lease.ID)
	if err != nil {
		return nil, err
	}
	if entry == nil || entry.State != ledger.StateLive {
		return logical.ErrorResponse("%s: the credential has been revoked; read a new one from creds/%s", where, lease.Role), nil
	}
	config, conn, err := b.acquireConfig(ctx, req.Storage, lease.Config)
	if err != nil {
		return errorResponse(where, err)
	}
	defer conn.release()
	if err := b.checkOrigin(entry, config); err != nil {
		return errorResponse(where, err)
	}
	driver, ok := conn.Connection.(provider.Renewer)
	if !ok {
		return logical.ErrorResponse("%s: credentials of vendor %q cannot be renewed; read a new one from creds/%s", where, config.Vendor, lease.Role), nil
	}

	renew := b.renewFuncOf(conn, config.Vendor, driver)
	limits := b.lifetimes(role, conn.MaxLifetime(), b.providers[config.Vendor].Capabilities().Renewal)
	ttl, _, err := framework.CalculateTTL(b.System(), req.Secret.Increment, limits.TTL, 0, limits.MaxTTL, 0, req.Secret.IssueTime)
	if err != nil {
		return logical.ErrorResponse("%s: %s", where, err), nil
	}
	if lease.Holder != "" {
		ttl, err = b.renewShared(ctx, req.Storage, entry, lease.Holder, renew, ttl)
	} else {
		ttl, err = b.renewExclusive(ctx, req.Storage, entry, renew, ttl)
	}
	if err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			err = fmt.Errorf("%w; read a new one from creds/%s", err, lease.Role)
		}
		return errorResponse(where, err)
	}
	response := &logical.Response{Secret: req.Secret, Warnings: limits.Warnings}
	response.Secret.TTL = ttl
	// Vault computes the lease's end anew from the client's increment, up to this: so it is the end that was
	// written down, and not just the vendor's.
	leaseEndsAt := b.clock.Now().Add(ttl)
	response.Secret.MaxTTL = min(limits.MaxTTL, leaseEndsAt.Sub(req.Secret.IssueTime).Truncate(time.Second))
	return response, nil
}

// renewFunc renews a credential at the vendor, as provider.Renewer does.
type renewFunc func(ctx context.Context, handle json.RawMessage, lifetime time.Duration) (time.Time, error)

// renewFuncOf sends a driver's renewals the way of every vendor call.
func (b *backend) renewFuncOf(conn *connection, vendor string, driver provider.Renewer) renewFunc {
	return func(ctx context.Context, handle json.RawMessage, lifetime time.Duration) (expiresAt time.Time, err error) {
		err = b.callVendor(conn, vendor, operationRenew, func() (err error) {
			expiresAt, err = driver.Renew(ctx, handle, lifetime)
			return err
		})
		return expiresAt, err
	}
}

// errExpired is what a renewal comes to when the vendor's end has passed.
var errExpired = &provider.Error{Class: provider.ClassNotFound, Message: "the credential has expired at the vendor"}

// errRevoked is what a renewal comes to when a revocation was faster.
var errRevoked = &provider.Error{Class: provider.ClassNotFound, Message: "the credential has been revoked"}

// renewExclusive renews a credential that one lease holds, and returns the TTL that the lease can have.
func (b *backend) renewExclusive(ctx context.Context, storage logical.Storage, entry *ledger.Entry, renew renewFunc, ttl time.Duration) (time.Duration, error) {
	failpoint("renew.begun")
	// Never an earlier end than before: should this renewal fail half way, the lease keeps its old end.
	lifetime := max(ttl+lifetimeMargin, entry.ExpiresAt.Sub(b.clock.Now()).Truncate(time.Second))
	expiresAt, err := renew(ctx, entry.Handle, lifetime)
	if err != nil {
		return 0, err
	}
	failpoint("renew.renewed")
	now := b.clock.Now()
	ttl = min(ttl, maxLeaseTTL(expiresAt.Sub(now)))
	if ttl <= 0 {
		return 0, errExpired
	}
	entry.ExpiresAt, entry.LeaseExpiresAt = expiresAt, now.Add(ttl)
	if err := b.ledger.Update(ctx, storage, entry); err != nil {
		if errors.Is(err, ledger.ErrChanged) {
			err = errRevoked
		}
		return 0, err
	}
	return ttl, nil
}

// renewShared renews one holder's lease on a shared credential.
func (b *backend) renewShared(ctx context.Context, storage logical.Storage, entry *ledger.Entry, holder string, renew renewFunc, ttl time.Duration) (time.Duration, error) {
	if err := b.extendExpiry(ctx, storage, entry, renew, ttl); err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			b.unshare(ctx, storage, entry)
		}
		return 0, err
	}
	now := b.clock.Now()
	ttl = min(ttl, maxLeaseTTL(entry.ExpiresAt.Sub(now)), maxLeaseTTL(entry.MaxExpiresAt.Sub(now)))
	if ttl <= 0 {
		return 0, errExpired
	}
	err := b.ledger.Extend(ctx, storage, entry.ID, holder, now.Add(ttl))
	if errors.Is(err, ledger.ErrDraining) {
		err = errRevoked
	}
	return ttl, err
}

// revokeCredential ends a lease's credential at the vendor, or, if others share it, the lease's part in it. A failure is returned to Vault, which
// tries again for a while, and stays in the ledger, which does until it is settled.
func (b *backend) revokeCredential(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	lease, err := parseLeaseData(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	if lease.Holder != "" {
		last, err := b.ledger.Detach(ctx, req.Storage, lease.ID, lease.Holder)
		if err != nil || !last {
			return nil, err
		}
		failpoint("revoke.detached")
		b.shared.forgetEntry(lease.ID)
	}
	entry, err := b.ledger.Get(ctx, req.Storage, lease.Config, lease.ID)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		// Entries are struck out only once the vendor agreed: an earlier attempt got that far. Removing it
		// again drops what is in memory about its holders.
		return nil, b.ledger.Remove(ctx, req.Storage, lease.Config, lease.ID)
	}
	if err := b.revokeEntry(ctx, req.Storage, entry); err != nil {
		return nil, fmt.Errorf("role %q, config %q: revoking: %w", lease.Role, lease.Config, err)
	}
	return nil, nil
}
