package backend

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func (b *backend) pathCreds() []*framework.Path {
	return []*framework.Path{{
		Pattern: "creds/" + framework.GenericNameRegex("role"),
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "generate", OperationSuffix: "credentials",
		},
		Fields: map[string]*framework.FieldSchema{
			"role": {Type: framework.TypeString, Description: "Name of the role.", Required: true},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.credsRead, Summary: "Issue a leased credential.",
				ForwardPerformanceStandby: true,
			},
		},
		HelpSynopsis: "Issue a leased credential for a role.",
		HelpDescription: "Each read creates a new credential at the vendor. With sharing=shared on the role, a read gets the current credential " +
			"of the role instead. A credential ends with its lease, or with the last lease that shares it, where the vendor supports revocation.",
	}}
}

// requesterOf returns who sent a request, for the ledger.
func requesterOf(req *logical.Request) ledger.Requester {
	return ledger.Requester{
		EntityID:      req.EntityID,
		DisplayName:   provider.PrintableText(req.DisplayName, provider.MaxText),
		TokenAccessor: req.ClientTokenAccessor,
		LeasePath:     req.MountPoint + req.Path,
	}
}

func (b *backend) credsRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("role").(string)
	role, err := b.store.Role(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, logical.CodedError(http.StatusNotFound, fmt.Sprintf("role %q does not exist; write it to roles/%s", name, name))
	}
	leased, err := b.credentials.Read(ctx, req.Storage, lease.Request{
		RoleName: name, Role: role, Requester: requesterOf(req), Description: fmt.Sprintf("Vault mount %s, role %s", req.MountPoint, name),
	})
	if err != nil {
		return b.readerResponse(req, fmt.Sprintf("role %q, config %q", name, role.Config), "", err)
	}
	credential := leased.Credential
	answer := make(map[string]any, len(credential.Data)+6)
	maps.Copy(answer, credential.Data)
	answer["token"] = credential.Token
	answer["token_type"] = credential.TokenType
	answer["address"] = credential.Address
	answer["vendor"] = leased.Vendor
	answer["credential_id"] = leased.Reference.ID
	answer["expires_at"] = formatTime(credential.ExpiresAt)

	response := b.Secret(secretCredentialType).Response(answer, leased.Reference.InternalData())
	response.Secret.TTL, response.Secret.MaxTTL = leased.TTL, leased.MaxTTL
	response.Secret.Renewable = leased.Renewable
	response.Warnings = leased.Warnings
	return response, nil
}
