package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func (b *backend) pathCreds() []*framework.Path {
	return []*framework.Path{{
		Pattern: "creds/" + framework.GenericNameRegex("role"),
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "generate", OperationSuffix: "credentials",
		},
		Fields: map[string]*framework.FieldSchema{
			"role": {Type: framework.TypeLowerCaseString, Description: "Name of the role.", Required: true},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.credsRead, Summary: "Issue a leased credential.",
				ForwardPerformanceStandby: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "The credential, under a lease. The vendor's own terms stand beside these fields.",
					Fields: map[string]*framework.FieldSchema{
						"token":      {Type: framework.TypeString, Required: true, Description: "The secret to present to the vendor.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
						"token_type": {Type: framework.TypeString, Required: true, Description: "How to present it, such as Bearer."},
						"address":    {Type: framework.TypeString, Required: true, Description: "Base URL of the API that takes it."},
						"vendor":     {Type: framework.TypeString, Required: true, Description: "Vendor of the product."},
						"expires_at": {Type: framework.TypeString, Required: true, Description: "When the vendor ends it unless it is renewed (RFC 3339, UTC)."},
					},
				}}},
			},
		},
		HelpSynopsis:    "Issue a leased credential for a role.",
		HelpDescription: "Each read makes a new credential at the vendor, or, with sharing=shared on the role, gets a part in the current one. It ends with its lease, or with the last that shares it, where the vendor lets it.",
	}}
}

func (b *backend) credsRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	for {
		response, err := b.readCredential(ctx, req, data.Get("role").(string))
		if !errors.Is(err, errPreempted) {
			return response, err
		}
	}
}

// readCredential answers a read, or fails with errPreempted, after which it is to be called again.
func (b *backend) readCredential(ctx context.Context, req *logical.Request, name string) (*logical.Response, error) {
	where := fmt.Sprintf("role %q", name)
	role, err := b.role(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return logical.ErrorResponse("%s does not exist; write it to roles/%s", where, name), nil
	}
	where = fmt.Sprintf("role %q, config %q", name, role.Config)
	config, conn, err := b.acquireConfig(ctx, req.Storage, role.Config)
	if err != nil {
		return errorResponse(where, err)
	}
	defer conn.release()
	if err := checkIssuable(role, config); err != nil {
		return errorResponse(where, err)
	}
	vendor := b.providers[config.Vendor]
	o := issueParams{
		roleName: name, role: role, config: config, conn: conn, vendor: vendor,
		lifetimes:   b.lifetimes(role, conn.MaxLifetime(), vendor.Capabilities().Renewal),
		description: fmt.Sprintf("Vault mount %s, role %s", req.MountPoint, name),
	}
	if role.isShared() {
		shared, holder, err := b.attachShared(ctx, req.Storage, o)
		if err != nil {
			return failRead(where, err)
		}
		lease := leaseData{Config: role.Config, Role: name, ID: shared.entryID, Holder: holder}
		return b.leasedResponse(where, o, lease, shared.credential(), shared.lifeEndsAt)
	}
	issued, err := b.issue(ctx, req.Storage, o)
	if err != nil {
		return failRead(where, err)
	}
	lifeEndsAt := issued.credential.ExpiresAt
	if vendor.Capabilities().Renewal == provider.RenewalExtends {
		// The vendor's end moves with each renewal, which computes the lease's limit anew from it.
		lifeEndsAt = b.clock.Now().Add(o.lifetimes.MaxTTL)
	}
	lease := leaseData{Config: role.Config, Role: name, ID: issued.entry.ID}
	return b.leasedResponse(where, o, lease, issued.credential, lifeEndsAt)
}

// failRead is fail, which an errPreempted passes unchanged.
func failRead(where string, err error) (*logical.Response, error) {
	if errors.Is(err, errPreempted) {
		return nil, err
	}
	return errorResponse(where, err)
}

// checkIssuable refuses a role whose config issues no credentials for it.
func checkIssuable(role *roleEntry, config *configEntry) error {
	if config.Retired {
		return &provider.Error{
			Class: provider.ClassInvalid, Message: "the config is retired and issues no more credentials",
			Remedy: "point the role to another config",
		}
	}
	if role.Vendor != config.Vendor {
		return &provider.Error{
			Class:   provider.ClassInvalid,
			Message: fmt.Sprintf("the role was written for vendor %q and the config is now of %q", role.Vendor, config.Vendor),
			Remedy:  "write the role again",
		}
	}
	return nil
}

// leasedResponse is the answer to a read: the credential, and a lease that ends before it does. lifeEndsAt is
// the last moment to which renewals may move the credential's end.
func (b *backend) leasedResponse(where string, o issueParams, lease leaseData, credential *provider.Credential, lifeEndsAt time.Time) (*logical.Response, error) {
	can, now := o.vendor.Capabilities(), b.clock.Now()
	data := make(map[string]any, len(credential.Data)+5)
	maps.Copy(data, credential.Data)
	data["token"] = credential.Token
	data["token_type"] = credential.TokenType
	data["address"] = credential.Address
	data["vendor"] = o.vendor.Name()
	data["expires_at"] = formatTime(credential.ExpiresAt)

	response := b.Secret(secretCredentialType).Response(data, lease.internalData())
	response.Secret.TTL = min(o.lifetimes.TTL, maxLeaseTTL(credential.ExpiresAt.Sub(now)))
	response.Secret.MaxTTL = min(o.lifetimes.MaxTTL, maxLeaseTTL(lifeEndsAt.Sub(now)))
	if response.Secret.TTL <= 0 {
		// Vault would take it for "the mount's default". The periodic run ends what nobody got.
		return errorResponse(where, &provider.Error{Class: provider.ClassUnavailable, Message: "the credential expired before it could be leased", Remedy: "use a longer ttl"})
	}
	response.Secret.Renewable = can.Renewal != provider.RenewalNone

	response.Warnings = append(response.Warnings, o.lifetimes.Warnings...)
	response.Warnings = append(response.Warnings, credential.Warnings...)
	if !canRevoke(o.conn.Connection, can) {
		response.AddWarning(fmt.Sprintf("%s This one works until %s.", can.RevocationNote, formatTime(credential.ExpiresAt)))
	}
	return response, nil
}
