package backend

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	defaultRequestTimeout = 30 * time.Second
	// maxRequestTimeout leaves a request, which Vault ends after 90 seconds, time to clean up.
	maxRequestTimeout = 60 * time.Second
	// minRotationPeriod keeps a mistake in the unit from changing a device's password every few seconds.
	minRotationPeriod = time.Hour
	defaultMaxRetries = 2
	maxMaxRetries     = 10
)

func (b *backend) pathConfig() []*framework.Path {
	name := &framework.FieldSchema{Type: framework.TypeLowerCaseString, Description: "Name of the config.", Required: true}
	return []*framework.Path{
		{
			Pattern: "config/?$",
			DisplayAttrs: &framework.DisplayAttributes{
				OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: "configs",
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback: b.configList,
					Summary:  "List the configs with their vendors and addresses.",
				},
			},
			HelpSynopsis:    "List the configs.",
			HelpDescription: "Lists the names of all configs; the details tell vendor, address and credentials in use.",
		},
		{
			Pattern:        "config/" + framework.GenericNameRegex("name"),
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "config"},
			Fields:         b.withVendorFields(configFields(name), provider.Provider.ConfigFields),
			ExistenceCheck: b.configExists,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: &framework.PathOperation{
					Callback: b.configWrite, Summary: "Store a vendor's root credential.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.configWrite, Summary: "Change a config; absent fields stay as they are.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
				logical.PatchOperation: &framework.PathOperation{
					Callback: b.configWrite, Summary: "Change a config; a null takes a field back to its default.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.configRead, Summary: "Read a config without its secrets.",
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.configDelete, Summary: "Delete a config that has no live credentials.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
			},
			HelpSynopsis:    "A vendor's address and root credential.",
			HelpDescription: "Stores the root credential of one product at one address. Secrets are never read back.",
		},
		b.pathConfigCheck(name),
		b.pathConfigCredentials(name),
		b.pathConfigTidy(name),
		b.pathConfigRotateRoot(name),
	}
}

func configFields(name *framework.FieldSchema) map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"name":    name,
		"vendor":  {Type: framework.TypeLowerCaseString, Description: `Vendor of the product; "info" lists them. Fixed once written.`},
		"address": {Type: framework.TypeString, Description: "Host, host:port or https:// URL of the product's API."},
		"ca_cert": {Type: framework.TypeString, Description: "PEM certificates to trust instead of the system's."},
		"tls_server_name": {
			Type: framework.TypeString, Description: "Name that the server's certificate must carry, if not the address's.",
		},
		"tls_skip_verify": {
			Type: framework.TypeBool, Description: "Accept any certificate. Whoever is on the path can then take the root credential.",
		},
		"request_timeout": {
			Type: framework.TypeDurationSecond, Default: int(defaultRequestTimeout.Seconds()),
			Description: "Bound on one request to the vendor, at most 60 s.",
		},
		"max_retries": {
			Type: framework.TypeInt, Default: defaultMaxRetries,
			Description: "How often a request that is safe to repeat is repeated, at most 10. Creates are never repeated.",
		},
		"max_credentials": {
			Type: framework.TypeInt, Description: "How many credentials may be live at once. 0 is unlimited. Default: by vendor.",
		},
		"verify_connection": {
			Type: framework.TypeBool, Default: true,
			Description: "Log in to the vendor before storing, and store nothing if that fails.",
		},
		"rotation_period": {
			Type:        framework.TypeDurationSecond,
			Description: "How often the root credential is replaced by itself, where the vendor's API can; an hour at least. 0 is never.",
		},
		"custom_metadata": {Type: framework.TypeKVPairs, Description: "Key=value pairs for the operator's own use."},
		"force": {
			Type: framework.TypeBool, Query: true,
			Description: "On delete: retire a config that has live credentials; it issues no more and goes with the last of them. " +
				"On a write: change the address although credentials live at the present one, which then cannot be ended.",
		},
		"abandon": {
			Type: framework.TypeBool, Query: true,
			Description: "On delete of a retired config: strike out what is left of it without the vendor's word, as for a product that " +
				"no longer exists. What is alive then stays alive.",
		},
	}
}

func (b *backend) configExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	entry, err := readConfig(ctx, req.Storage, data.Get("name").(string))
	return entry != nil, err
}

// configWrite creates, updates or patches: merge, verify with the vendor, store. The vendor is called
// without a lock; what is stored is checked not to have changed in between.
func (b *backend) configWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	if b.connections.isExclusive(name) {
		return nil, errRotationInProgress
	}
	old, err := readConfig(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if old == nil && req.Operation == logical.PatchOperation {
		return nil, logical.CodedError(http.StatusNotFound, where+" does not exist")
	}
	verify := wantsVerification(data)
	var warnings []string
	if old, warnings, err = b.resolveBeforeWrite(ctx, req.Storage, name, old, data, verify); err != nil {
		return errorResponse(where, err)
	}
	entry, err := b.mergeConfig(old, data)
	if err != nil {
		return errorResponse(where, err)
	}
	conn, err := b.openConnection(req.Storage, name, entry)
	if err != nil {
		return errorResponse(where, err)
	}

	if err := b.checkMovable(ctx, req.Storage, name, old, entry, data); err != nil {
		conn.Close()
		return errorResponse(where, err)
	}

	report := b.logoutWarning(name)
	settled := func(context.Context, error) []string { return nil }
	if once, ok := conn.(provider.Bootstrapper); ok && once.NeedsBootstrap() {
		conn, settled, err = b.bootstrap(ctx, req.Storage, name, entry, conn, once)
		if err != nil {
			return errorResponse(where+" was not stored, making its root credential failed", err)
		}
	}
	changed := old == nil || old.ConnectionID != entry.ConnectionID
	if changed && verify {
		checked, err := verifyRoot(ctx, entry.Vendor, conn)
		if err != nil {
			logout(ctx, report)(conn)
			settled(ctx, err)
			return errorResponse(where+" was not stored, verifying the connection failed", err)
		}
		if b.suppliesRoot(entry, data) {
			entry.Root.markVerified()
		}
		warnings = append(warnings, checked.Warnings...)
	}
	if err := b.compareAndSwapConfig(ctx, req.Storage, name, old, entry); err != nil {
		logout(ctx, report)(conn)
		settled(ctx, err)
		return nil, err
	}
	if changed {
		b.swapConnection(ctx, req.Storage, name, old, entry, conn, report)
		warnings = append(warnings, settled(ctx, nil)...)
		warnings = append(warnings, b.revokeOrphanedRoots(ctx, req.Storage, name, entry.RootMarker, conn)...)
	} else {
		conn.Close()
	}
	if entry.TLSSkipVerify {
		warnings = append(warnings, "tls_skip_verify is set: whoever is on the network path can take the root credential; prefer ca_cert")
	}
	if len(warnings) == 0 {
		return nil, nil
	}
	return &logical.Response{Warnings: warnings}, nil
}

// resolveBeforeWrite settles what a rotation has left, since a write can make that impossible: which root credential is
// in force, unless the write brings another, and the end of the former, which the present one alone can end where the
// config points now.
func (b *backend) resolveBeforeWrite(ctx context.Context, storage logical.Storage, name string, old *configEntry, data *framework.FieldData,
	verify bool,
) (*configEntry, []string, error) {
	if old == nil || b.providers[old.Vendor] == nil {
		return old, nil, nil
	}
	givesRoot := b.suppliesRoot(old, data)
	var warnings []string
	switch {
	case old.Root.inDoubt() && !givesRoot:
		if err := b.resolveRoot(ctx, storage, name); err != nil && verify {
			return nil, nil, fmt.Errorf("%w; verify_connection=false stores a setting before that is known", err)
		}
	case old.Root.Previous != nil && givesRoot:
		err := b.revokePrevious(ctx, storage, name)
		switch {
		case err != nil && data.Get("force").(bool):
			warnings = append(warnings, "the root credential before the present one is forgotten, end it at the vendor: "+err.Error())
		case err != nil:
			return nil, nil, fmt.Errorf("%w; only the present root credential can do that, so the config keeps it: try again, or end the former "+
				"at the vendor and write with force=true", err)
		}
	default:
		return old, nil, nil
	}
	current, err := readConfig(ctx, storage, name)
	if current != nil && len(warnings) > 0 {
		current.Root.Previous = nil
	}
	return current, warnings, err
}

// checkMovable refuses to point a config elsewhere while credentials are alive where it points now: nobody could end
// them there.
func (b *backend) checkMovable(ctx context.Context, storage logical.Storage, name string, old, entry *configEntry, data *framework.FieldData) error {
	if vendor := b.providers[entry.Vendor]; old == nil || old.origin(vendor) == entry.origin(vendor) || data.Get("force").(bool) {
		return nil
	}
	used, err := b.ledger.Used(ctx, storage, name)
	if err != nil || used == 0 {
		return err
	}
	return fmt.Errorf("%w; they live at the present address, and could be neither renewed nor revoked: revoke their leases first, "+
		"use another config, or write with force=true and wait until they have expired", &ledger.InUseError{Used: used})
}

// logoutWarning returns what is told of a login of ours that could not be ended. It is called whenever the connection's
// last user has left, which can be after the request.
func (b *backend) logoutWarning(name string) func(error) {
	return func(err error) {
		b.Logger().Warn("the engine's login could not be ended; it ends by itself", "config", name, "error", err)
	}
}

// swapConnection makes conn the connection of a config that was just stored, and ends the login of the one before.
func (b *backend) swapConnection(ctx context.Context, storage logical.Storage, name string, old, entry *configEntry, conn provider.Connection, report func(error)) {
	if old != nil {
		// After a restart the old login is in the session store only; once opened, it can be ended.
		if previous, err := b.connections.acquire(storage, name, old); err == nil {
			previous.release()
		}
	}
	b.connections.swap(ctx, name, entry.ConnectionID, conn, report)
}

// compareAndSwapConfig stores entry unless the config has changed since old was read.
func (b *backend) compareAndSwapConfig(ctx context.Context, storage logical.Storage, name string, old, entry *configEntry) error {
	b.writeMutex.Lock()
	defer b.writeMutex.Unlock()
	current, err := readConfig(ctx, storage, name)
	if err != nil {
		return err
	}
	if (current == nil) != (old == nil) || (current != nil && current.Revision != old.Revision) {
		return errConflict(name)
	}
	return b.putConfig(ctx, storage, name, entry)
}

func (b *backend) configRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	entry, err := readConfig(ctx, req.Storage, data.Get("name").(string))
	if err != nil || entry == nil {
		return nil, err
	}
	return &logical.Response{Data: b.describeConfig(entry)}, nil
}

// describeConfig returns what may be read of a config: everything but the secrets, of which it tells
// whether they are set.
func (b *backend) describeConfig(entry *configEntry) map[string]any {
	metadata := entry.CustomMetadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	described := map[string]any{
		"vendor":          entry.Vendor,
		"address":         entry.Address,
		"ca_cert":         entry.CACert,
		"tls_server_name": entry.TLSServerName,
		"tls_skip_verify": entry.TLSSkipVerify,
		"request_timeout": int64(entry.RequestTimeout.Seconds()),
		"max_retries":     entry.MaxRetries,
		"max_credentials": entry.MaxCredentials,
		"rotation_period": int64(entry.RotationPeriod.Seconds()),
		"root_updated_at": formatTime(entry.Root.UpdatedAt),
		"root_state":      entry.Root.String(),
		"custom_metadata": metadata,
		"retired":         entry.Retired,
	}
	var secrets []string
	if vendor, ok := b.providers[entry.Vendor]; ok {
		schema := vendor.ConfigFields()
		values := &framework.FieldData{Raw: entry.Fields, Schema: schema}
		for _, field := range slices.Sorted(maps.Keys(schema)) {
			if !isSensitive(schema[field]) {
				described[field] = values.Get(field)
			} else if _, set := entry.Fields[field]; set {
				secrets = append(secrets, field)
			}
		}
	}
	described["sensitive_fields_set"] = secrets
	return described
}

func (b *backend) configList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, configPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the configs: %w", err)
	}
	details := make(map[string]any, len(names))
	for _, name := range names {
		entry, err := b.config(ctx, req.Storage, name)
		if err != nil {
			return nil, err
		}
		if entry == nil {
			continue
		}
		used, err := b.ledger.Used(ctx, req.Storage, name)
		if err != nil {
			return nil, err
		}
		details[name] = map[string]any{
			"vendor": entry.Vendor, "address": entry.Address, "retired": entry.Retired,
			"credentials_used": used, "max_credentials": entry.MaxCredentials,
		}
	}
	return logical.ListResponseWithInfo(names, details), nil
}
