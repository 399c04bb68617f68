package backend

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// rolePrefix is where roles are stored.
const rolePrefix = "role/"

// roleVersion is the schema version of the stored record.
const roleVersion = 1

// roleEntry is a stored role.
type roleEntry struct {
	Version int    `json:"version"`
	Config  string `json:"config"`
	// Vendor is the config's when the role was written: a config that was deleted and made anew for
	// another vendor does not understand this role's fields.
	Vendor string `json:"vendor"`
	// TTL and MaxTTL are as the operator wrote them; zero is the mount's.
	TTL    time.Duration `json:"ttl_ns"`
	MaxTTL time.Duration `json:"max_ttl_ns"`
	// Sharing says whether the role's readers share one credential.
	Sharing string `json:"sharing"`
	// MaxWait is how long a read waits for a free slot.
	MaxWait time.Duration `json:"max_wait_ns,omitempty"`
	// Revision is made at every write: readers before and after a change share no credential.
	Revision string `json:"revision"`
	// Fields are the vendor's own, by the schema of its RoleFields.
	Fields map[string]any `json:"fields"`
}

const (
	// sharingExclusive gives each reader a credential of its own.
	sharingExclusive = "exclusive"
	// sharingShared gives one credential to many leases. The last one to end revokes it.
	sharingShared = "shared"
)

func (r *roleEntry) isShared() bool { return r.Sharing == sharingShared }

// role returns a stored role, or nil when there is none of that name.
func (b *backend) role(ctx context.Context, storage logical.Storage, name string) (*roleEntry, error) {
	return b.roles.get(ctx, name, func(ctx context.Context, name string) (*roleEntry, error) {
		return readRole(ctx, storage, name)
	})
}

func readRole(ctx context.Context, storage logical.Storage, name string) (*roleEntry, error) {
	var entry roleEntry
	found, err := readRecord(ctx, storage, rolePrefix+name, &entry)
	if err != nil || !found {
		return nil, err
	}
	if entry.Version > roleVersion {
		return nil, fmt.Errorf("%s%s was written by a later version of the plugin", rolePrefix, name)
	}
	return &entry, nil
}

// fieldData returns the vendor's own fields by their schema.
func (r *roleEntry) fieldData(vendor provider.Provider) *framework.FieldData {
	return &framework.FieldData{Raw: r.Fields, Schema: vendor.RoleFields()}
}

// transitAllowance is taken off what is left of a credential's life: Vault counts a lease from when the answer arrives.
const transitAllowance = time.Second

// maxLeaseTTL is how long a lease can be on a credential that has so much left: whole seconds, as Vault counts.
func maxLeaseTTL(left time.Duration) time.Duration {
	return (left - transitAllowance).Truncate(time.Second)
}

// lifetimes are the durations of a role's leases, with mount and vendor taken into account.
type lifetimes struct {
	// TTL is how long a lease lasts without renewal, MaxTTL how long it can be renewed.
	TTL, MaxTTL time.Duration
	// Warnings name each cap that applied.
	Warnings []string
}

// lifetimes computes what a role's leases get: its own figures, else the mount's, capped by the mount and by
// vendorMax, the longest life that the vendor grants at once (zero: no limit known). Where renewals extend
// the credential, that bounds the ttl and not the max_ttl.
func (b *backend) lifetimes(role *roleEntry, vendorMax time.Duration, renewal provider.Renewal) lifetimes {
	system := b.System()
	result := lifetimes{TTL: role.TTL, MaxTTL: role.MaxTTL}
	if result.MaxTTL == 0 {
		result.MaxTTL = system.MaxLeaseTTL()
	}
	if result.TTL == 0 {
		result.TTL = min(system.DefaultLeaseTTL(), result.MaxTTL)
		if vendorMax > 0 {
			// The operator asked for nothing, so a smaller default is no surprise worth a warning.
			result.TTL = min(result.TTL, vendorMax)
		}
	}
	limit := func(name string, value *time.Duration, asked bool, bound time.Duration, whose string) {
		if bound > 0 && *value > bound {
			if asked {
				result.Warnings = append(result.Warnings,
					fmt.Sprintf("%s of %s exceeds %s of %s and is capped to it", name, *value, whose, bound))
			}
			*value = bound
		}
	}
	limit("ttl", &result.TTL, role.TTL > 0, system.MaxLeaseTTL(), "the mount's maximum")
	limit("max_ttl", &result.MaxTTL, role.MaxTTL > 0, system.MaxLeaseTTL(), "the mount's maximum")
	limit("ttl", &result.TTL, role.TTL > 0, vendorMax, "the vendor's maximum")
	if renewal != provider.RenewalExtends {
		limit("max_ttl", &result.MaxTTL, role.MaxTTL > 0, vendorMax, "the vendor's maximum")
	}
	result.TTL = min(result.TTL, result.MaxTTL)
	return result
}
