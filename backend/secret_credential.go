package backend

import (
	"context"
	"fmt"
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
		Renew:  b.renewCredential,
		Revoke: b.revokeCredential,
	}
}

// leaseData is what a lease keeps of its credential: where its account is. The handle, which can hold
// the leased secret, stays in the ledger.
type leaseData struct {
	Config, Role, ID string
}

// leaseVersion is the schema version of a lease's internal data.
const leaseVersion = 1

func (l leaseData) internalData() map[string]any {
	return map[string]any{"version": leaseVersion, "config": l.Config, "role": l.Role, "id": l.ID}
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
	return lease, nil
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
	config, conn, err := b.configInUse(ctx, req.Storage, lease.Config)
	if err != nil {
		return fail(where, err)
	}
	defer conn.release()
	renewer, ok := conn.Connection.(provider.Renewer)
	if !ok {
		return logical.ErrorResponse("%s: credentials of vendor %q cannot be renewed; read a new one from creds/%s", where, config.Vendor, lease.Role), nil
	}

	limits := b.lifetimes(role, conn.MaxLifetime())
	if b.providers[config.Vendor].Capabilities().Renewal == provider.RenewalExtends {
		// vendorMax bounds one extension, not the sum of them.
		limits.MaxTTL = b.lifetimes(role, 0).MaxTTL
	}
	ttl, _, err := framework.CalculateTTL(b.System(), req.Secret.Increment, limits.TTL, 0, limits.MaxTTL, 0, req.Secret.IssueTime)
	if err != nil {
		return logical.ErrorResponse("%s: %s", where, err), nil
	}
	expiresAt, err := renewer.Renew(ctx, entry.Handle, ttl+lifetimeMargin)
	if err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			return logical.ErrorResponse("%s: %s; read a new one from creds/%s", where, err, lease.Role), nil
		}
		return fail(where, err)
	}

	now := b.clock.Now()
	left := expiresAt.Sub(now).Truncate(time.Second)
	if left <= 0 {
		return logical.ErrorResponse("%s: the credential has expired at the vendor; read a new one from creds/%s", where, lease.Role), nil
	}
	entry.ExpiresAt, entry.LeaseEndsAt = expiresAt, now.Add(min(ttl, left))
	if err := b.ledger.Put(ctx, req.Storage, entry); err != nil {
		return nil, err
	}
	response := &logical.Response{Secret: req.Secret, Warnings: limits.Warnings}
	response.Secret.TTL = min(ttl, left)
	response.Secret.MaxTTL = min(limits.MaxTTL, expiresAt.Sub(req.Secret.IssueTime).Truncate(time.Second))
	return response, nil
}

// revokeCredential ends a lease's credential at the vendor. A failure is returned to Vault, which
// tries again for a while, and stays in the ledger, which does until it is settled.
func (b *backend) revokeCredential(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	lease, err := parseLeaseData(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	entry, err := b.ledger.Get(ctx, req.Storage, lease.Config, lease.ID)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		// Entries are struck out only once the vendor agreed: an earlier attempt got that far.
		return nil, nil
	}
	if err := b.end(ctx, req.Storage, entry); err != nil {
		return nil, fmt.Errorf("role %q, config %q: revoking: %w", lease.Role, lease.Config, err)
	}
	return nil, nil
}
