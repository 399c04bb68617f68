package store

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// RoleVersion is the schema version of a stored role.
const RoleVersion = 1

const (
	// SharingExclusive gives each reader a credential of its own.
	SharingExclusive = "exclusive"
	// SharingShared gives one credential to many leases. The last lease to end revokes it.
	SharingShared = "shared"
)

// Role is a stored role.
type Role struct {
	// Version is the schema version.
	Version int `json:"version"`
	// Config is the name of the config that the role draws on.
	Config string `json:"config"`
	// Vendor is the config's when the role was written. A config that was deleted and created again for
	// another vendor does not understand this role's fields.
	Vendor string `json:"vendor"`
	// TTL and MaxTTL are as the operator wrote them; zero is the mount's.
	TTL    time.Duration `json:"ttl_ns"`
	MaxTTL time.Duration `json:"max_ttl_ns"`
	// Sharing is SharingExclusive or SharingShared.
	Sharing string `json:"sharing"`
	// MaxWait is how long a read waits for a free slot.
	MaxWait time.Duration `json:"max_wait_ns,omitempty"`
	// MaxCredentials is how many of the config's credentials the role may have alive; zero is no limit of its own.
	MaxCredentials int `json:"max_credentials,omitempty"`
	// Revision is made at every change: readers before and after a change share no credential.
	Revision string `json:"revision"`
	// Fields are the vendor's own, by the schema of its RoleFields.
	Fields map[string]any `json:"fields"`
}

// ReadRole reads a role from storage, past the cache. It returns nil when there is none of that name.
func ReadRole(ctx context.Context, storage logical.Storage, name string) (*Role, error) {
	if CheckName(name) != nil {
		return nil, nil // no record has such a name, and some of them Vault's storage refuses to look up
	}
	var entry Role
	found, err := read(ctx, storage, RolePrefix+name, &entry)
	if err != nil || !found {
		return nil, err
	}
	if entry.Version > RoleVersion {
		return nil, versionError(RolePrefix + name)
	}
	return &entry, nil
}

// IsShared reports whether the role's readers share one credential.
func (r *Role) IsShared() bool { return r.Sharing == SharingShared }

// FieldData returns the vendor's own fields with their schema.
func (r *Role) FieldData(vendor provider.Provider) *framework.FieldData {
	return &framework.FieldData{Raw: r.Fields, Schema: vendor.RoleFields()}
}
