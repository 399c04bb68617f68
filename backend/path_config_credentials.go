package backend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func (b *backend) pathConfigCredentials(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/credentials/?$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: "config-credentials",
		},
		Fields: map[string]*framework.FieldSchema{
			"name": name,
			"after": {
				Type: framework.TypeString, Query: true,
				Description: "List the credentials whose ID follows this one.",
			},
			"limit": {
				Type: framework.TypeInt, Query: true, Default: maxListed,
				Description: fmt.Sprintf("How many credentials to list, from 1 to %d. Default: %d.", maxListed, maxListed),
			},
			"role":  {Type: framework.TypeString, Query: true, Description: "List the credentials of this role only."},
			"state": {Type: framework.TypeString, Query: true, Description: "List the credentials in this state only."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: &framework.PathOperation{
				Callback: b.configCredentials, Summary: "List the credentials of a config that are or may be alive.",
				ForwardPerformanceStandby: true,
			},
		},
		HelpSynopsis: "The live credentials of a config.",
		HelpDescription: "Lists every credential that is or may be alive at the vendor, with its role, its times, the leases that " +
			"hold it and who asked for each of them, and its state: issuing, live, revoking (the vendor has not confirmed yet), searching (the vendor's answer was lost, " +
			"and its marker is searched until search_until) or expiring (the vendor cannot revoke it). A credential with occupies_slot=false " +
			"does not count towards max_credentials. The list contains no secret. It is in the order of the IDs and has at most " +
			"limit credentials; the last ID, as after, lists the following ones.",
	}
}

// maxListed bounds one answer: about a quarter of a megabyte.
const maxListed = 1000

func (b *backend) configCredentials(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	config, err := b.store.Config(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return logical.ErrorResponse("config %q does not exist", name), nil
	}
	limit := data.Get("limit").(int)
	if limit < 1 || limit > maxListed {
		return errorResponse(fmt.Sprintf("config %q", name), provider.InvalidField("limit", "must be from 1 to %d", maxListed))
	}
	filter := ledger.Filter{Role: data.Get("role").(string), State: ledger.State(data.Get("state").(string))}
	if filter.State != "" && !slices.Contains(ledger.States(), filter.State) {
		return errorResponse(fmt.Sprintf("config %q", name), provider.InvalidField("state", "must be one of %v", ledger.States()))
	}
	entries, more, err := b.ledger.Page(ctx, req.Storage, name, data.Get("after").(string), limit, filter)
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(entries))
	details := make(map[string]any, len(entries))
	for i := range entries {
		described, err := b.describeCredential(ctx, req.Storage, &entries[i])
		if err != nil {
			return nil, err
		}
		ids = append(ids, entries[i].ID)
		details[entries[i].ID] = described
	}
	response := logical.ListResponseWithInfo(ids, details)
	if more {
		response.AddWarning(fmt.Sprintf("the list is not complete; list with after=%s for the following credentials", ids[len(ids)-1]))
	}
	return response, nil
}

// describeCredential returns everything of a ledger entry except its secrets.
func (b *backend) describeCredential(ctx context.Context, storage logical.Storage, entry *ledger.Entry) (map[string]any, error) {
	leaseExpiresAt, err := b.ledger.LeaseExpiresAt(ctx, storage, entry)
	if err != nil {
		return nil, err
	}
	leases, err := b.leasesOf(ctx, storage, entry)
	if err != nil {
		return nil, err
	}
	if entry.Check {
		leaseExpiresAt = time.Time{} // no lease was made
	}
	return map[string]any{
		"credential_id":    entry.ID,
		"role":             entry.Role,
		"state":            string(entry.State),
		"purpose":          purposeOf(entry),
		"issued_at":        formatTime(entry.CreatedAt),
		"expires_at":       formatTime(entry.ExpiresAt),
		"lease_expires_at": formatTime(leaseExpiresAt),
		"shared":           entry.IsShared(),
		"holders":          len(leases),
		"leases":           leases,
		"marker":           provider.PrintableText(entry.Marker, provider.MaxText),
		"occupies_slot":    entry.OccupiesSlot(b.clock.Now()),
		"searches":         entry.Searches,
		"search_until":     formatTime(lease.SearchUntil(entry)),
		"attempts":         entry.Attempts,
		"next_attempt_at":  formatTime(entry.NextAttemptAt),
		"last_error":       entry.LastError,
	}, nil
}

// purposeOf returns what a credential was created for.
func purposeOf(entry *ledger.Entry) string {
	if entry.Check {
		return "check"
	}
	return "lease"
}

// leasesOf returns who holds a credential: one item for each lease that has not ended. There is none while the
// credential must end, and after its lease.
func (b *backend) leasesOf(ctx context.Context, storage logical.Storage, entry *ledger.Entry) ([]map[string]any, error) {
	leases := []map[string]any{}
	if entry.Check || entry.State != ledger.StateLive && entry.State != ledger.StateIssuing {
		return leases, nil
	}
	holders := []ledger.Holder{{LeaseExpiresAt: entry.LeaseExpiresAt, IssuedAt: entry.CreatedAt, Requester: entry.Requester}}
	if entry.IsShared() {
		var err error
		if holders, err = b.ledger.Holders(ctx, storage, entry.Config, entry.ID); err != nil {
			return nil, fmt.Errorf("listing the holders of %s: %w", entry.ID, err)
		}
	}
	now := b.clock.Now()
	for _, holder := range holders {
		if holder.LeaseExpiresAt.Before(now) {
			continue
		}
		leases = append(leases, map[string]any{
			"entity_id":        holder.Requester.EntityID,
			"display_name":     holder.Requester.DisplayName,
			"token_accessor":   holder.Requester.TokenAccessor,
			"lease_path":       holder.Requester.LeasePath,
			"issued_at":        formatTime(holder.IssuedAt),
			"lease_expires_at": formatTime(holder.LeaseExpiresAt),
		})
	}
	return leases, nil
}
