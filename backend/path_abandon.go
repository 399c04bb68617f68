package backend

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// abandonTimeout bounds the last attempt to revoke the credentials of a config that an operator abandons.
const abandonTimeout = 15 * time.Second

// abandonPrefix begins the paths that give up credentials. Vault requires the capability sudo for them. It knows such
// paths by an exact name or by a prefix only, so they are not below config/<name>.
const abandonPrefix = "abandon/"

func (b *backend) pathAbandon(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: abandonPrefix + framework.GenericNameRegex("name") + "$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "abandon", OperationSuffix: "config",
		},
		Fields: map[string]*framework.FieldSchema{"name": name},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.abandon, Summary: "Delete a retired config although the vendor has not confirmed the end of its credentials.",
				ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "The config and its ledger entries are deleted.",
					Fields: map[string]*framework.FieldSchema{
						"abandoned": {Type: framework.TypeStringSlice, Required: true, Description: "The credentials that may live on at the vendor: their markers, " +
							"or their credential_id where the vendor has no field for a marker."},
					},
				}}},
			},
		},
		HelpSynopsis: "Give up the credentials of a retired config.",
		HelpDescription: "For a product that does not exist any more, or never answers again: no revocation can succeed there. Asks the vendor once " +
			"more to revoke what is left, for at most 15 seconds, and then deletes the config and its ledger entries. The answer, the log and an event " +
			"name each credential whose end the vendor has not confirmed: it may live on. The policy needs the capability sudo. Delete the config " +
			"with force=true first, which retires it.",
	}
}

// abandon deletes a retired config and its ledger entries, on the operator's decision. It asks the vendor once
// more to revoke its credentials, and names those that the vendor has not confirmed.
func (b *backend) abandon(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	entry, err := store.ReadConfig(ctx, req.Storage, name)
	switch {
	case err != nil:
		return nil, err
	case entry == nil:
		return nil, logical.CodedError(http.StatusNotFound, where+" does not exist")
	case !entry.Retired:
		return logical.ErrorResponse("%s: only a retired config can be abandoned; delete it with force=true first, "+
			"which revokes its credentials if the vendor still answers", where), nil
	}
	trying, cancel := context.WithTimeout(ctx, abandonTimeout)
	defer cancel()
	if _, err := b.credentials.EndAll(trying, req.Storage, name); err != nil {
		return nil, err
	}
	abandoned, err := b.credentials.Abandon(ctx, req.Storage, name)
	names := namesAtVendor(abandoned)
	var warnings []string
	if len(names) > 0 {
		warnings = append(warnings, "abandoned without revocation: "+strings.Join(names, ", "))
	}
	if err != nil {
		return b.failDelete(req, name, warnings, err)
	}
	warnings = append(warnings, b.vaultManagedLoss(name, entry)...)
	ending, stop := context.WithTimeout(ctx, abandonTimeout) // the attempt above may have used all of its time
	defer stop()
	lost, err := b.endConfig(ending, req.Storage, name, entry, true, nil)
	warnings = append(warnings, lost...)
	if err != nil {
		return b.failDelete(req, name, warnings, err)
	}
	b.Logger().Warn("config abandoned by the operator", "config", name, "vendor", entry.Vendor, "address", entry.Address,
		"request_id", req.ID, "entity_id", req.EntityID, "display_name", req.DisplayName, "abandoned", names)
	return &logical.Response{Data: map[string]any{"abandoned": names}, Warnings: warnings}, nil
}

// namesAtVendor returns the names by which an operator finds credentials: their markers, or their IDs where the vendor
// has no field for a marker.
func namesAtVendor(entries []ledger.Entry) []string {
	names := make([]string, 0, len(entries))
	for i := range entries {
		name := entries[i].Marker
		if name == "" {
			name = entries[i].ID
		}
		names = append(names, name)
	}
	return names
}
