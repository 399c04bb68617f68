package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// warn adds the warnings about the settings of the config as it is stored now.
func (u *configUpdate) warn(ctx context.Context) {
	if u.entry.TLSSkipVerify {
		u.warnings = append(u.warnings, "tls_skip_verify is set: an attacker on the network path can steal the root credential; prefer ca_cert")
	}
	for _, check := range []func(context.Context) ([]string, error){u.limitWarnings, u.deniedRoleWarnings} {
		warnings, err := check(ctx)
		if err != nil {
			// The config is stored: the write has not failed.
			u.Logger().Warn("a config was not compared with the other configs and roles", "config", u.name, "error", err)
		}
		u.warnings = append(u.warnings, warnings...)
	}
}

// limitWarnings warns if the vendor allows fewer credentials than the config, alone or with another one.
func (u *configUpdate) limitWarnings(ctx context.Context) ([]string, error) {
	vendor := u.providers[u.entry.Vendor]
	limit := vendor.Capabilities().MaxCredentials
	if limit == 0 {
		return nil, nil
	}
	var warnings []string
	switch {
	case u.entry.MaxCredentials == 0:
		warnings = append(warnings, fmt.Sprintf("max_credentials is 0, unlimited, but the vendor allows %d at the same time by default", limit))
	case u.entry.MaxCredentials > limit:
		warnings = append(warnings, fmt.Sprintf("max_credentials of %d exceeds the %d that the vendor allows at the same time by default",
			u.entry.MaxCredentials, limit))
	}
	names, err := u.store.ConfigNames(ctx, u.storage)
	if err != nil {
		return warnings, err
	}
	var others []string
	for _, name := range names {
		other, err := u.store.Config(ctx, u.storage, name)
		if err != nil {
			return warnings, err
		}
		if other != nil && name != u.name && sharesLimit(other, u.entry, vendor) {
			others = append(others, fmt.Sprintf("%q", name))
		}
	}
	if len(others) > 0 {
		warnings = append(warnings, fmt.Sprintf("config %s has the same address and account: each config counts its own credentials, and the vendor, which "+
			"allows %d by default, counts all of them together; use one config, or lower max_credentials of each", strings.Join(others, ", "), limit))
	}
	return warnings, nil
}

// sharesLimit reports whether a vendor counts the credentials of two configs together.
func sharesLimit(a, b *store.Config, vendor provider.Provider) bool {
	return a.Vendor == b.Vendor && a.Origin(vendor) == b.Origin(vendor) &&
		!slices.ContainsFunc(vendor.Capabilities().AccountFields, func(field string) bool { return !sameField(a, b, vendor, field) })
}

// deniedRoleWarnings names the roles of the config that allowed_roles does not contain, if the write sets it.
func (u *configUpdate) deniedRoleWarnings(ctx context.Context) ([]string, error) {
	if _, given := u.data.Raw["allowed_roles"]; !given || u.entry.AllowedRoles == nil {
		return nil, nil
	}
	names, err := u.storage.List(ctx, store.RolePrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the roles: %w", err)
	}
	var denied []string
	for _, name := range names {
		role, err := u.store.Role(ctx, u.storage, name)
		if err != nil {
			return nil, err
		}
		if role != nil && role.Config == u.name && !u.entry.AllowsRole(name) {
			denied = append(denied, name)
		}
	}
	if len(denied) == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("allowed_roles does not contain these roles of the config, which issue no more credentials: %s. Their leases stay; "+
		"revoke them by the prefix creds/<role>", strings.Join(denied, ", "))}, nil
}
