package backend

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

func (b *backend) pathConfigCredentials(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/credentials/?$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: "config-credentials",
		},
		Fields: map[string]*framework.FieldSchema{"name": name},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback: b.configCredentials, Summary: "List the credentials of a config that are or may be alive.",
				ForwardPerformanceStandby: true,
			},
		},
		HelpSynopsis: "The live credentials of a config.",
		HelpDescription: "Lists every credential that is or may be alive at the vendor, with its role, its times, the leases that " +
			"hold it, and its state: issuing, live, revoking (the vendor has not confirmed yet), searching (the vendor's answer was lost, " +
			"and its marker is searched until search_until) or expiring (the vendor cannot revoke it). A credential with occupies_slot=false " +
			"does not count towards max_credentials. The list contains no secret.",
	}
}

func (b *backend) configCredentials(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	config, err := b.store.Config(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return logical.ErrorResponse("config %q does not exist", name), nil
	}
	entries, err := b.ledger.List(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(entries))
	details := make(map[string]any, len(entries))
	for i := range entries {
		entry := &entries[i]
		holders := 1
		if entry.IsShared() {
			if holders, err = b.ledger.Holders(ctx, req.Storage, name, entry.ID); err != nil {
				return nil, fmt.Errorf("counting the holders of %s: %w", entry.ID, err)
			}
		}
		if entry.State == ledger.StateSearching {
			holders = 0 // no lease was made
		}
		leaseExpiresAt, err := b.ledger.LeaseExpiresAt(ctx, req.Storage, entry)
		if err != nil {
			return nil, err
		}
		ids = append(ids, entry.ID)
		details[entry.ID] = map[string]any{
			"lease_expires_at": formatTime(leaseExpiresAt),
			"occupies_slot":    entry.OccupiesSlot(b.clock.Now()),
			"searches":         entry.Searches,
			"search_until":     formatTime(lease.SearchUntil(entry)),

			"role":            entry.Role,
			"state":           string(entry.State),
			"issued_at":       formatTime(entry.CreatedAt),
			"expires_at":      formatTime(entry.ExpiresAt),
			"shared":          entry.IsShared(),
			"holders":         holders,
			"marker":          entry.Marker,
			"attempts":        entry.Attempts,
			"next_attempt_at": formatTime(entry.NextAttemptAt),
			"last_error":      entry.LastError,
		}
	}
	return logical.ListResponseWithInfo(ids, details), nil
}
