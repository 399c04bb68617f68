package backend

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// maxMaxWait bounds max_wait. Vault ends a read after 90 seconds, and the vendor's answer must fit into the rest.
const maxMaxWait = time.Minute

func (b *backend) pathRoles() []*framework.Path {
	return []*framework.Path{
		{
			Pattern: "roles/?$",
			DisplayAttrs: &framework.DisplayAttributes{
				OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: "roles",
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{Callback: b.roleList, Summary: "List the roles with their configs and lifetimes."},
			},
			HelpSynopsis:    "List the roles.",
			HelpDescription: "Lists the names of all roles, with config, vendor, lifetimes and sharing.",
		},
		{
			Pattern:        "roles/" + framework.GenericNameRegex("name"),
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "role"},
			Fields:         b.withVendorFields(roleFields(), provider.Provider.RoleFields),
			ExistenceCheck: b.roleExists,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.CreateOperation: &framework.PathOperation{
					Callback: b.roleWrite, Summary: "Create a role.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
				logical.UpdateOperation: &framework.PathOperation{
					Callback: b.roleWrite, Summary: "Change a role; absent fields stay as they are.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
				logical.PatchOperation: &framework.PathOperation{
					Callback: b.roleWrite, Summary: "Change a role; a null resets a field to its default.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
				logical.ReadOperation: &framework.PathOperation{Callback: b.roleRead, Summary: "Read a role."},
				logical.DeleteOperation: &framework.PathOperation{
					Callback: b.roleDelete, Summary: "Delete a role; its leases run to their end and cannot be renewed.",
					ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
				},
			},
			HelpSynopsis:    "Which credentials an application can read: from which config, and for how long.",
			HelpDescription: "A role contains the name of a config, the TTLs of its leases, and the vendor's settings for each credential.",
		},
	}
}

func roleFields() map[string]*framework.FieldSchema {
	fields := map[string]*framework.FieldSchema{
		"name":   {Type: framework.TypeString, Description: "Name of the role.", Required: true},
		"config": {Type: framework.TypeString, Required: true, Description: "Name of the config whose root credential issues the role's credentials. Later writes may leave it out."},
		"ttl":    {Type: framework.TypeDurationSecond, Description: "How long a lease lasts without renewal. Default: the mount's."},
		"max_ttl": {
			Type: framework.TypeDurationSecond,
			Description: "How long a lease can be renewed. Default: four times the ttl where the vendor fixes the end of a credential at its issue and for " +
				"shared credentials, else the mount's.",
		},
		"sharing": {
			Type: framework.TypeString, AllowedValues: []any{store.SharingExclusive, store.SharingShared},
			Description: "exclusive: each reader gets a credential of its own. shared: one credential for all, which ends with the last lease. " +
				"Default: exclusive, but shared for a vendor that issues few credentials (default_sharing of info).",
		},
		"max_credentials": {
			Type:        framework.TypeInt,
			Description: "How many of the config's credentials the role may have alive at once. Default 0: only max_credentials of the config limits it.",
		},
		"max_wait": {
			Type: framework.TypeDurationSecond, Description: "How long a read waits for a free slot when max_credentials of the config are in use, at most 60 s.",
		},
	}
	maps.Copy(fields, readOnlyRoleFields())
	return fields
}

// readOnlyRoleFields are computed. A write may contain them with the values that a read shows.
func readOnlyRoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{"vendor": {Type: framework.TypeString, Description: "Read-only: vendor of the config."}}
}

func (b *backend) roleExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	entry, err := store.ReadRole(ctx, req.Storage, data.Get("name").(string))
	return entry != nil, err
}

func (b *backend) roleWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	var warnings []string
	err := b.store.WriteRole(ctx, req.Storage, name, func(old *store.Role) (entry *store.Role, err error) {
		if old == nil && req.Operation == logical.PatchOperation {
			return nil, logical.CodedError(http.StatusNotFound, "it does not exist")
		}
		entry, warnings, err = b.mergeRole(ctx, req.Storage, name, old, data)
		if err == nil && old != nil && store.SameRecord(old, entry) {
			noChange(ctx)
		}
		return entry, err
	})
	if err != nil {
		return errorResponse(fmt.Sprintf("role %q", name), err)
	}
	return warningsResponse(warnings), nil
}

// mergeRole returns the stored role with the changes of a write, or a ClassInvalid error. A write that changes nothing is
// accepted although the config would refuse the role by now; the refusal is a warning then.
func (b *backend) mergeRole(ctx context.Context, storage logical.Storage, name string, old *store.Role, data *framework.FieldData) (*store.Role, []string, error) {
	entry := &store.Role{Version: store.RoleVersion, Sharing: store.SharingExclusive}
	if old != nil {
		copied := *old
		copied.Fields = maps.Clone(old.Fields)
		entry = &copied
	}
	applyField(data, "config", &entry.Config)
	applySeconds(data, "ttl", &entry.TTL)
	applySeconds(data, "max_ttl", &entry.MaxTTL)
	if data.Raw["sharing"] != nil { // its default depends on the vendor
		applyField(data, "sharing", &entry.Sharing)
	}
	applySeconds(data, "max_wait", &entry.MaxWait)
	applyField(data, "max_credentials", &entry.MaxCredentials)
	if entry.Config == "" {
		return nil, nil, provider.InvalidField("config", "is required")
	}
	if err := checkRole(entry); err != nil {
		return nil, nil, err
	}
	config, err := b.store.Config(ctx, storage, entry.Config)
	if err != nil {
		return nil, nil, err
	}
	if err := b.mergeRoleFields(entry, config, data); err != nil {
		return nil, nil, err
	}
	warnings, err := b.checkRoleConfig(storage, name, entry, config)
	unchanged := old != nil && store.SameRecord(old, entry)
	switch {
	case provider.ClassOf(err) == provider.ClassInvalid && unchanged:
		return entry, []string{err.Error()}, nil
	case err != nil:
		return nil, nil, err
	}
	if old == nil || endsSharing(*old, *entry) {
		entry.Revision = rand.Text() // an unchanged role keeps its shared credential
	}
	return entry, warnings, nil
}

// mergeRoleFields applies the fields of the vendor, which is that of the config, or the role's present one if there is
// no config.
func (b *backend) mergeRoleFields(entry *store.Role, config *store.Config, data *framework.FieldData) error {
	name := entry.Vendor
	if config != nil {
		name = config.Vendor
	}
	vendor, ok := b.providers[name]
	switch {
	case !ok && config == nil:
		return configMissing(entry.Config)
	case !ok:
		return provider.InvalidField("config", "%q is of vendor %q, which this version of the plugin does not support", entry.Config, name)
	}
	if sharing, given := data.Raw["sharing"]; sharing == nil && (given || entry.Vendor == "") {
		entry.Sharing = defaultSharing(vendor)
	}
	if err := rejectReadOnlyChanges(data, readOnlyRoleFields(), map[string]any{"vendor": name}); err != nil {
		return err
	}
	if err := b.rejectForeignFields(vendor, data, provider.Provider.RoleFields); err != nil {
		return err
	}
	if entry.Vendor != name {
		entry.Vendor, entry.Fields = name, nil
	}
	var err error
	entry.Fields, err = mergeVendorFields(entry.Fields, data, vendor.RoleFields(), vendor.Capabilities().Alternatives)
	return err
}

// defaultSharing is the sharing of a new role of a vendor whose field is not set.
func defaultSharing(vendor provider.Provider) string {
	if vendor.Capabilities().SharesByDefault {
		return store.SharingShared
	}
	return store.SharingExclusive
}

func configMissing(name string) error {
	return provider.InvalidField("config", "%q does not exist; write it to config/%s first", name, name)
}

// checkRoleConfig returns the warnings about a role, or a ClassInvalid error for one that its config or its vendor does
// not allow.
func (b *backend) checkRoleConfig(storage logical.Storage, name string, role *store.Role, config *store.Config) ([]string, error) {
	switch {
	case config == nil:
		return nil, configMissing(role.Config)
	case config.Retired:
		return nil, provider.InvalidField("config", "%q is retired and issues no more credentials", role.Config)
	case !config.AllowsRole(name):
		return nil, provider.InvalidField("config", "allowed_roles of config %q does not contain the role %q; have an operator of the config add it", role.Config, name)
	}
	vendor := b.providers[config.Vendor]
	if err := vendor.ValidateRole(role.FieldData(vendor)); err != nil {
		return nil, err
	}
	conn, err := b.pool.Acquire(storage, role.Config, config)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	if checker, ok := conn.Connection.(provider.RoleChecker); ok {
		if err := checker.CheckRole(role.FieldData(vendor)); err != nil {
			return nil, err
		}
	}
	if err := lease.CheckSharing(role, conn.MaxLifetime()); err != nil {
		return nil, err
	}
	return b.credentials.RoleWarnings(role, conn, vendor), nil
}

// checkRole checks the fields that every vendor's roles have, as far as that needs no config.
func checkRole(entry *store.Role) error {
	if entry.MaxTTL > 0 && entry.TTL > entry.MaxTTL {
		return provider.InvalidField("ttl", "of %s exceeds max_ttl of %s", entry.TTL, entry.MaxTTL)
	}
	if entry.Sharing != store.SharingExclusive && entry.Sharing != store.SharingShared {
		return provider.InvalidField("sharing", "must be %q or %q", store.SharingExclusive, store.SharingShared)
	}
	if entry.MaxWait > maxMaxWait {
		return provider.InvalidField("max_wait", "must be at most %s", maxMaxWait)
	}
	if entry.MaxCredentials < 0 {
		return provider.InvalidField("max_credentials", "must not be negative; 0 is no limit of the role's own")
	}
	return nil
}

// endsSharing reports whether readers before and after a change of a role share no credential. How many
// credentials the role may have, and for how long a reader waits for one, makes no difference to a credential.
func endsSharing(before, after store.Role) bool {
	before.MaxCredentials, before.MaxWait = after.MaxCredentials, after.MaxWait
	return !reflect.DeepEqual(before, after)
}

func (b *backend) roleRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	entry, err := store.ReadRole(ctx, req.Storage, data.Get("name").(string))
	if err != nil || entry == nil {
		return nil, err
	}
	described := describeRole(entry)
	if vendor, ok := b.providers[entry.Vendor]; ok {
		values := entry.FieldData(vendor)
		for field, schema := range values.Schema {
			if !store.IsSensitive(schema) {
				described[field] = values.Get(field)
			}
		}
	}
	return &logical.Response{Data: described}, nil
}

// describeRole returns the fields that every vendor's roles have, as a read shows them.
func describeRole(entry *store.Role) map[string]any {
	return map[string]any{
		"config":   entry.Config,
		"vendor":   entry.Vendor,
		"ttl":      int64(entry.TTL.Seconds()),
		"max_ttl":  int64(entry.MaxTTL.Seconds()),
		"sharing":  entry.Sharing,
		"max_wait": int64(entry.MaxWait.Seconds()),

		"max_credentials": entry.MaxCredentials,
	}
}

func (b *backend) roleList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, store.RolePrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the roles: %w", err)
	}
	details := make(map[string]any, len(names))
	for _, name := range names {
		entry, err := b.store.Role(ctx, req.Storage, name)
		if err != nil {
			return nil, err
		}
		if entry == nil {
			continue
		}
		described, shown := describeRole(entry), map[string]any{}
		for field := range listedRoleFields() {
			shown[field] = described[field]
		}
		details[name] = shown
	}
	return logical.ListResponseWithInfo(names, details), nil
}

func (b *backend) roleDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	existed, err := b.store.DeleteRole(ctx, req.Storage, data.Get("name").(string))
	if err == nil && !existed {
		noChange(ctx)
	}
	return nil, err
}
