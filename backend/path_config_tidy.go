package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
)

func (b *backend) pathConfigTidy(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/tidy$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "tidy", OperationSuffix: "config",
		},
		Fields: map[string]*framework.FieldSchema{
			"name":    name,
			"dry_run": {Type: framework.TypeBool, Description: "Report only, and change nothing. Default: false."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.configTidy, Summary: "Compare ledger and vendor, and revoke the credentials that no lease holds.",
				ForwardPerformanceStandby: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "What was found and done.",
					Fields: map[string]*framework.FieldSchema{
						"pending":         {Type: framework.TypeStringSlice, Required: true, Description: "credential_id of the credentials in the ledger that should have ended."},
						"revoked":         {Type: framework.TypeInt, Required: true, Description: "How many of them were revoked, or had expired."},
						"reconciled":      {Type: framework.TypeBool, Required: true, Description: "Whether the vendor can list what this mount has created."},
						"orphans":         {Type: framework.TypeStringSlice, Required: true, Description: "Markers that the vendor listed and the ledger does not have."},
						"orphans_revoked": {Type: framework.TypeInt, Required: true, Description: "How many of those were revoked."},
					},
				}}},
			},
		},
		HelpSynopsis: "Revoke the credentials that no lease holds.",
		HelpDescription: "Retries every pending revocation at once. Where the vendor lists what carries this mount's marker, tidy also " +
			"revokes the credentials that are not in the ledger. It never touches what another mount or a person created. The first part " +
			"also happens every minute, with growing pauses; the second is checked every hour, and reported in the log and by an event. " +
			"Do not tidy a Vault that was restored from a snapshot next to the original: it would revoke what the original has issued since.",
	}
}

func (b *backend) configTidy(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	dryRun := data.Get("dry_run").(bool)
	ctx = pool.WithProbe(ctx) // the operator wants to know how the vendor is now
	var warnings []string
	var failed []error
	before, err := b.store.Config(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	intents, err := b.store.RootIntents(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	_, conn, err := b.rotator.Acquire(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	conn.Release()
	if !dryRun {
		if err := b.rotator.RevokePrevious(ctx, req.Storage, name); err != nil {
			warnings = append(warnings, b.hideVendorText(name, err))
		}
	}
	swept, err := b.sweep(ctx, req.Storage, name, lease.SweepOptions{IgnoreBackoff: true, DryRun: dryRun})
	if err != nil {
		warnings, failed = append(warnings, b.hideVendorText(name, err)), append(failed, err)
	}
	if swept.Drained {
		return tidyResponse(swept, lease.ReconcileResult{}, append(warnings, "the config was retired, and is deleted with its last credential")), nil
	}
	config, conn, err := b.rotator.Acquire(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	defer conn.Release()
	if !dryRun {
		warnings = append(warnings, b.rotator.RevokeOrphanedRoots(ctx, req.Storage, name, config)...)
	}
	found, err := b.credentials.Reconcile(ctx, req.Storage, config, conn, dryRun)
	if err != nil {
		err = fmt.Errorf("comparing with the vendor: %w", err)
		warnings, failed = append(warnings, b.hideVendorText(name, err)), append(failed, err)
	}
	reported := dryRun && len(swept.Pending) > 0
	if len(failed) > 0 && swept.Revoked == 0 && !found.Reconciled && !reported {
		return b.writerResponse(req, where+": nothing could be tidied", errors.Join(failed...))
	}
	rootChanged := before == nil || config.Revision != before.Revision || len(intents) > 0
	if dryRun || swept.Revoked == 0 && found.OrphansRevoked == 0 && !rootChanged {
		noChange(ctx)
	}
	return tidyResponse(swept, found, warnings), nil
}

// tidyResponse is the answer of a tidy.
func tidyResponse(swept lease.SweepResult, found lease.ReconcileResult, warnings []string) *logical.Response {
	return &logical.Response{
		Data: map[string]any{
			"pending": append([]string{}, swept.Pending...), "revoked": swept.Revoked, "reconciled": found.Reconciled,
			"orphans": append([]string{}, found.Orphans...), "orphans_revoked": found.OrphansRevoked,
		},
		Warnings: warnings,
	}
}
