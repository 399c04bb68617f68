package backend

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
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
		Revoke: b.revoke,
	}
}

// renew is renewCredential with its refusals as errors: Vault shows a refusal that is a response in an
// unreadable form when it comes from a renewal.
func (b *backend) renew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if b.isStandby() {
		return nil, logical.ErrReadOnly
	}
	response, err := b.renewCredential(ctx, req)
	if err == nil && response.IsError() {
		return nil, logical.CodedError(http.StatusBadRequest, response.Error().Error())
	}
	return response, err
}

// renewCredential renews a lease, and the credential itself at vendors that support it.
func (b *backend) renewCredential(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	reference, err := lease.ParseReference(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	role, err := b.store.Role(ctx, req.Storage, reference.Role)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return logical.ErrorResponse("role %q was deleted: its leases run to their end and are not renewed", reference.Role), nil
	}
	renewed, err := b.credentials.Renew(ctx, req.Storage, lease.Renewal{
		Role: role, Reference: reference, Increment: req.Secret.Increment, IssuedAt: req.Secret.IssueTime,
	})
	if err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			err = fmt.Errorf("%w; read a new one from creds/%s", err, reference.Role)
		}
		return b.readerResponse(req, fmt.Sprintf("role %q, config %q", reference.Role, reference.Config), reference.ID, err)
	}
	// No warnings: the role's write and the read have named its limits, and some clients replace a credential whose
	// renewal warns.
	response := &logical.Response{Secret: req.Secret}
	response.Secret.TTL, response.Secret.MaxTTL = renewed.TTL, renewed.MaxTTL
	return response, nil
}

// defaultRevokePatience is how long a revocation that Vault has begun waits for a vendor and for its turn. Vault holds its
// state lock for that long: a seal waits, and every other request waits for the seal.
const defaultRevokePatience = 1500 * time.Millisecond

// unmountPatience is how long it waits during an unmount, which an operator has begun and which the first failure ends.
const unmountPatience = 30 * time.Second

// revoke ends a lease's credential at the vendor, or, if others share it, the lease's part in it. Vault
// retries a failure for about ten minutes, and the background work until the vendor confirms.
func (b *backend) revoke(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	if b.isStandby() {
		return nil, logical.ErrReadOnly
	}
	reference, err := lease.ParseReference(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	err = b.credentials.Revoke(ctx, req.Storage, reference)
	b.leaseEnds.observe(reference, b.System().Tainted, err)
	if err != nil {
		return nil, b.readerError(req, fmt.Sprintf("role %q, config %q: revoking", reference.Role, reference.Config), reference.ID, err)
	}
	return nil, nil
}

// isStandby reports whether this node cannot write the ledger: a vendor call here could not be recorded. Vault
// forwards a request that fails with logical.ErrReadOnly to the active node.
func (b *backend) isStandby() bool {
	return b.System().ReplicationState().HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary)
}
