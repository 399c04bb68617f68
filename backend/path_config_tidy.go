package backend

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func (b *backend) pathConfigTidy(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/tidy$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "tidy", OperationSuffix: "config",
		},
		Fields: map[string]*framework.FieldSchema{
			"name":    name,
			"dry_run": {Type: framework.TypeBool, Description: "Report only, and change nothing."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.configTidy, Summary: "Compare books and vendor, and end what nobody holds.",
				ForwardPerformanceStandby: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "What was found and done.",
					Fields: map[string]*framework.FieldSchema{
						"pending":         {Type: framework.TypeStringSlice, Required: true, Description: "Markers of credentials in the books that should not be alive any more."},
						"revoked":         {Type: framework.TypeInt, Required: true, Description: "How many of them were ended, or had expired."},
						"reconciled":      {Type: framework.TypeBool, Required: true, Description: "Whether the vendor can list what this mount has made."},
						"orphans":         {Type: framework.TypeStringSlice, Required: true, Description: "Markers that the vendor listed and the books do not know."},
						"orphans_revoked": {Type: framework.TypeInt, Required: true, Description: "How many of those were ended."},
					},
				}}},
			},
		},
		HelpSynopsis: "End what nobody holds.",
		HelpDescription: "Tries every revocation that is outstanding, at once, and, where the vendor lists what carries this mount's " +
			"marker, ends what is not in the books. What another mount or a person made is never touched. The first happens by itself " +
			"every minute, with growing pauses; the second is looked at every hour, and reported in the log and by an event. Do not " +
			"tidy a Vault that was restored from a snapshot beside the original: it takes what the original has issued since for ownerless.",
	}
}

// tidyResult is the result of a tidy.
type tidyResult struct {
	pending, orphans        []string
	revoked, orphansRevoked int
	reconciled              bool
}

func (b *backend) configTidy(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	dryRun := data.Get("dry_run").(bool)
	var result tidyResult
	var warnings []string
	_, conn, err := b.acquireConfig(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	conn.release()
	if !dryRun {
		if err := b.revokePrevious(ctx, req.Storage, name); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	if result.pending, result.revoked, err = b.sweep(ctx, req.Storage, name, sweepOptions{ignoreBackoff: true, dryRun: dryRun}); err != nil {
		warnings = append(warnings, err.Error())
	}
	config, conn, err := b.acquireConfig(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	defer conn.release()
	if !dryRun {
		warnings = append(warnings, b.revokeOrphanedRoots(ctx, req.Storage, name, config.RootMarker, conn.Connection)...)
	}
	if err := b.reconcile(ctx, req.Storage, config, conn, dryRun, &result); err != nil {
		warnings = append(warnings, "comparing with the vendor: "+err.Error())
	}
	return &logical.Response{
		Data: map[string]any{
			"pending": result.pending, "revoked": result.revoked, "reconciled": result.reconciled,
			"orphans": result.orphans, "orphans_revoked": result.orphansRevoked,
		},
		Warnings: warnings,
	}, nil
}

// reconcile ends what the vendor lists under this mount's marker and the books do not know.
func (b *backend) reconcile(ctx context.Context, storage logical.Storage, config *configEntry, conn *connection, dryRun bool, result *tidyResult) error {
	finder, ok := conn.Connection.(provider.Lister)
	if !ok {
		return nil
	}
	revoker, ok := conn.Connection.(provider.MarkerRevoker)
	if !ok {
		return fmt.Errorf("the vendor's connection %T finds markers and cannot revoke them", conn.Connection)
	}
	prefix, err := b.markerPrefix(ctx, storage)
	if err != nil {
		return err
	}
	var found []provider.Listed
	err = b.callVendor(conn, config.Vendor, operationList, func() (err error) {
		found, err = finder.List(ctx, prefix)
		return err
	})
	if err != nil {
		return err
	}
	// The books are read after the vendor's list: an intent stands in them before its credential exists.
	known, err := b.liveIDs(ctx, storage)
	if err != nil {
		return err
	}
	result.reconciled = true
	for _, credential := range found {
		marker := credential.Marker
		id, whole := markerID(marker, prefix)
		if !whole || known[id] || slices.Contains(result.orphans, marker) {
			continue
		}
		result.orphans = append(result.orphans, marker)
		if dryRun {
			continue
		}
		err := b.callVendor(conn, config.Vendor, operationRevoke, func() error { return revoker.RevokeMarker(ctx, marker) })
		if err != nil {
			return fmt.Errorf("ending %s: %w", marker, err)
		}
		b.Logger().Info("ended a credential that was not in the books", "vendor", config.Vendor, "marker", marker)
		result.orphansRevoked++
	}
	return nil
}

// markerID returns the id that ends a marker of this mount. A name that is not whole, because the vendor shortens
// or changes names, says nothing about whose it is.
func markerID(marker, prefix string) (id string, whole bool) {
	rest, ours := strings.CutPrefix(marker, prefix)
	dash := strings.LastIndexByte(rest, '-')
	if !ours || dash < 0 || len(rest)-dash-1 != idLength {
		return "", false
	}
	return rest[dash+1:], true
}

// liveIDs are the ids of everything that this mount has made and not ended, under any config: two of them may
// have the same vendor account.
func (b *backend) liveIDs(ctx context.Context, storage logical.Storage) (map[string]bool, error) {
	known := make(map[string]bool)
	prefix, err := b.markerPrefix(ctx, storage)
	if err != nil {
		return nil, err
	}
	names, err := b.ledger.Configs(ctx, storage)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		entries, err := b.ledger.List(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			known[entries[i].ID] = true
		}
	}
	configs, err := storage.List(ctx, configPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the configs: %w", err)
	}
	for _, name := range configs {
		config, err := b.config(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		if config == nil {
			continue
		}
		if id, whole := markerID(config.RootMarker, prefix); whole {
			known[id] = true
		}
	}
	attempts, err := storage.List(ctx, bootstrapPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", bootstrapPrefix, err)
	}
	for _, name := range attempts {
		noted, err := rootIntents(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		for _, attempt := range noted {
			if id, whole := markerID(attempt.Marker, prefix); whole {
				known[id] = true
			}
		}
	}
	return known, nil
}
