package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	defaultRequestTimeout = 30 * time.Second
	// maxRequestTimeout leaves time to clean up: Vault ends a request after 90 seconds.
	maxRequestTimeout = 60 * time.Second
	defaultMaxRetries = 2
	maxMaxRetries     = 10
	// maxRequestsPerMinute is more than any vendor accepts.
	maxRequestsPerMinute = 1_000_000
)

func (b *backend) pathConfig() []*framework.Path {
	name := &framework.FieldSchema{Type: framework.TypeString, Description: "Name of the config.", Required: true}
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
			HelpSynopsis: "List the configs.",
			HelpDescription: "Lists the names of all configs, with vendor, address, credentials in use, and the state and the expiry of the root credential. " +
				"root_expires_soon is true if that is within 14 days.",
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
					Callback: b.configWrite, Summary: "Change a config; a null resets a field to its default.",
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
		b.pathAbandon(name),
		b.pathConfigTidy(name),
		b.pathConfigProbe(name),
		b.pathConfigRotateRoot(name),
	}
}

// readOnlyConfigFields are computed. A write may contain them with the values that a read shows.
func readOnlyConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"root_updated_at":      {Type: framework.TypeString, Description: "Read-only: when the root credential was stored (RFC 3339, UTC)."},
		"root_state":           {Type: framework.TypeString, Description: "Read-only: current, in_doubt or previous_not_revoked."},
		"root_expires_at":      {Type: framework.TypeString, Description: "Read-only: when the root credential itself expires, by the last check (RFC 3339, UTC). Empty if never or unknown."},
		"last_rotation":        {Type: framework.TypeString, Description: "Read-only: when a rotation last replaced the root credential (RFC 3339, UTC). Empty if none did."},
		"next_rotation":        {Type: framework.TypeString, Description: "Read-only: when the next automatic rotation is due (RFC 3339, UTC). Empty if there is none."},
		"rotation_suspended":   {Type: framework.TypeBool, Description: "Read-only: whether rotations wait for an operator after a gap in the mount's heartbeat."},
		"retired":              {Type: framework.TypeBool, Description: "Read-only: whether the config was deleted with force=true and ends with its last credential."},
		"sensitive_fields_set": {Type: framework.TypeCommaStringSlice, Description: "Read-only: names of the secret fields that have a value."},
	}
}

func configFields(name *framework.FieldSchema) map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"name":    name,
		"vendor":  {Type: framework.TypeString, Required: true, Description: `Vendor of the product; "info" lists them. Fixed once written: later writes may leave it out.`},
		"address": {Type: framework.TypeString, Required: true, Description: "Host, host:port or https:// URL of the product's API. Later writes may leave it out."},
		"ca_cert": {Type: framework.TypeString, Description: "PEM certificates to trust instead of those of the system."},
		"tls_server_name": {
			Type: framework.TypeString, Description: "Name that the server's certificate must contain, if it is not the host in address.",
		},
		"tls_skip_verify": {
			Type: framework.TypeBool, Description: "Accept any certificate. An attacker on the network path can then steal the root credential.",
		},
		"request_timeout": {
			Type: framework.TypeDurationSecond, Default: int(defaultRequestTimeout.Seconds()),
			Description: "Limit for one request to the vendor, at most 60 s.",
		},
		"max_retries": {
			Type: framework.TypeInt, Default: defaultMaxRetries,
			Description: "How often a request that is safe to repeat is repeated, at most 10. Creates are never repeated.",
		},
		"max_credentials": {
			Type: framework.TypeInt, Description: "How many credentials may be live at the same time. 0 is unlimited. The default depends on the vendor.",
		},
		"requests_per_minute": {
			Type: framework.TypeInt, Description: "How many requests a minute the engine sends with this root credential; the others wait for their turn. " +
				"0 is unlimited. Default: by vendor, below its known limit.",
		},
		"verify_connection": {
			Type: framework.TypeBool, Default: true,
			Description: "Log in to the vendor before storing, and store nothing if that fails.",
		},
		"allowed_roles": {
			Type: framework.TypeCommaStringSlice, Default: allRoles,
			Description: "Names of the roles that may issue credentials of this config; * in a name matches any text. Default: all roles. " +
				"An empty list allows none.",
		},
		fieldCustomMetadata: {Type: framework.TypeKVPairs, Description: "Key=value pairs for the operator's own use."},
		"force": {
			Type: framework.TypeBool, Query: true,
			Description: "On delete: retire a config that has live credentials; it issues no more and is deleted with the last of them.",
		},
		"leave_behind": {
			Type: framework.TypeBool,
			Description: "On a write: leave behind at the vendor what the changed config cannot revoke: credentials that are live at the previous " +
				"address, or the previous root credential of a rotation.",
		},
	}
	maps.Copy(fields, rotationFields())
	maps.Copy(fields, readOnlyConfigFields())
	return fields
}

func (b *backend) configExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	entry, err := store.ReadConfig(ctx, req.Storage, data.Get("name").(string))
	return entry != nil, err
}

func (b *backend) configRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	entry, err := store.ReadConfig(ctx, req.Storage, data.Get("name").(string))
	if err != nil || entry == nil {
		return nil, err
	}
	described, err := b.describeConfig(ctx, req.Storage, entry)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: described}, nil
}

// describeConfig returns everything of a config except its secrets. It lists the names of the secrets that are
// set.
func (b *backend) describeConfig(ctx context.Context, storage logical.Storage, entry *store.Config) (map[string]any, error) {
	suspended, err := b.isSuspended(ctx, storage, entry)
	if err != nil {
		return nil, err
	}
	metadata := entry.CustomMetadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	described := map[string]any{
		"vendor":              entry.Vendor,
		"address":             entry.Address,
		"ca_cert":             entry.CACert,
		"tls_server_name":     entry.TLSServerName,
		"tls_skip_verify":     entry.TLSSkipVerify,
		"request_timeout":     int64(entry.RequestTimeout.Seconds()),
		"max_retries":         entry.MaxRetries,
		"max_credentials":     entry.MaxCredentials,
		"requests_per_minute": entry.RequestsPerMinute,
		"root_updated_at":     formatTime(entry.Root.UpdatedAt),
		"root_state":          entry.Root.String(),
		"allowed_roles":       shownAllowedRoles(entry),
		fieldCustomMetadata:   metadata,
		"retired":             entry.Retired,
		"rotation_suspended":  false,
	}
	b.describeRotation(entry, described)
	secrets := []string{}
	if vendor, ok := b.providers[entry.Vendor]; ok {
		described["rotation_suspended"] = suspended && vendor.Capabilities().RotatesRoot
		schema := vendor.ConfigFields()
		values := &framework.FieldData{Raw: entry.Fields, Schema: schema}
		for _, field := range slices.Sorted(maps.Keys(schema)) {
			if !store.IsSensitive(schema[field]) {
				described[field] = values.Get(field)
			} else if _, set := entry.Fields[field]; set {
				secrets = append(secrets, field)
			}
		}
	}
	described["sensitive_fields_set"] = secrets
	return described, nil
}

func (b *backend) configList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, store.ConfigPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the configs: %w", err)
	}
	details := make(map[string]any, len(names))
	for _, name := range names {
		entry, err := b.store.Config(ctx, req.Storage, name)
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
			"root_state": entry.Root.String(), "root_expires_at": formatTime(entry.Root.ExpiresAt),
			"root_expires_soon": entry.RootExpiresSoon(b.clock.Now()),
		}
	}
	return logical.ListResponseWithInfo(names, details), nil
}
