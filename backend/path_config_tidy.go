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
						"due":       {Type: framework.TypeStringSlice, Required: true, Description: "Markers of credentials in the books that should not be alive any more."},
						"ended":     {Type: framework.TypeInt, Required: true, Description: "How many of them were ended, or had expired."},
						"compared":  {Type: framework.TypeBool, Required: true, Description: "Whether the vendor can list what this mount has made."},
						"ownerless": {Type: framework.TypeStringSlice, Required: true, Description: "Markers that the vendor listed and the books do not know."},
						"removed":   {Type: framework.TypeInt, Required: true, Description: "How many of those were ended."},
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

// tidied is the result of a tidy.
type tidied struct {
	due, ownerless []string
	ended, removed int
	compared       bool
}

func (b *backend) configTidy(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	dryRun := data.Get("dry_run").(bool)
	var result tidied
	var warnings []string
	_, conn, err := b.configInUse(ctx, req.Storage, name)
	if err != nil {
		return fail(where, err)
	}
	conn.release()
	if !dryRun {
		if err := b.endFormer(ctx, req.Storage, name); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	if result.due, result.ended, err = b.settle(ctx, req.Storage, name, settleOptions{urgent: true, dryRun: dryRun}); err != nil {
		warnings = append(warnings, err.Error())
	}
	config, conn, err := b.configInUse(ctx, req.Storage, name)
	if err != nil {
		return fail(where, err)
	}
	defer conn.release()
	if !dryRun {
		warnings = append(warnings, b.endStaleRoots(ctx, req.Storage, name, config.RootMarker, conn.Connection)...)
	}
	if err := b.compare(ctx, req.Storage, config, conn, dryRun, &result); err != nil {
		warnings = append(warnings, "comparing with the vendor: "+err.Error())
	}
	return &logical.Response{
		Data: map[string]any{
			"due": result.due, "ended": result.ended, "compared": result.compared,
			"ownerless": result.ownerless, "removed": result.removed,
		},
		Warnings: warnings,
	}, nil
}

// compare ends what the vendor lists under this mount's marker and the books do not know.
func (b *backend) compare(ctx context.Context, storage logical.Storage, config *configEntry, conn *connection, dryRun bool, result *tidied) error {
	finder, ok := conn.Connection.(provider.Finder)
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
	var found []provider.Found
	err = b.callVendor(conn, config.Vendor, operationFind, func() (err error) {
		found, err = finder.Find(ctx, prefix)
		return err
	})
	if err != nil {
		return err
	}
	// The books are read after the vendor's list: an intent stands in them before its credential exists.
	known, err := b.knownIDs(ctx, storage)
	if err != nil {
		return err
	}
	result.compared = true
	for _, credential := range found {
		marker := credential.Marker
		id, whole := markerID(marker, prefix)
		if !whole || known[id] || slices.Contains(result.ownerless, marker) {
			continue
		}
		result.ownerless = append(result.ownerless, marker)
		if dryRun {
			continue
		}
		err := b.callVendor(conn, config.Vendor, operationRevoke, func() error { return revoker.RevokeMarker(ctx, marker) })
		if err != nil {
			return fmt.Errorf("ending %s: %w", marker, err)
		}
		b.Logger().Info("ended a credential that was not in the books", "vendor", config.Vendor, "marker", marker)
		result.removed++
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

// knownIDs are the ids of everything that this mount has made and not ended, under any config: two of them may
// have the same vendor account.
func (b *backend) knownIDs(ctx context.Context, storage logical.Storage) (map[string]bool, error) {
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
		noted, err := notedRoots(ctx, storage, name)
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
