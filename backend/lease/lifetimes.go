package lease

import (
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// lifetimeMargin is how much longer than its lease a credential lives at the vendor. It leaves room for the
	// time that the answer travels, so that a lease gets the full TTL of its role.
	lifetimeMargin = 15 * time.Second

	// transitAllowance is subtracted from a credential's remaining life: Vault counts a lease from the moment
	// when the answer arrives.
	transitAllowance = time.Second
)

// maxLeaseTTL is how long a lease can be on a credential with this remaining life: whole seconds, as Vault
// counts.
func maxLeaseTTL(remaining time.Duration) time.Duration {
	return (remaining - transitAllowance).Truncate(time.Second)
}

// Lifetimes are the durations of a role's leases, within the limits of mount and vendor.
type Lifetimes struct {
	// TTL is how long a lease lasts without renewal, MaxTTL how long it can be renewed.
	TTL, MaxTTL time.Duration
	// Warnings name each limit that applied.
	Warnings []string
}

// Lifetimes computes the durations of a role's leases: the role's own, or else the mount's, limited by the
// mount and by vendorMax, the longest life that the vendor grants at once (zero: no limit is known). Where
// renewals extend the credential, vendorMax limits the ttl and not the max_ttl.
func (c *Credentials) Lifetimes(role *store.Role, vendorMax time.Duration, renewal provider.Renewal) Lifetimes {
	system := c.System()
	result := Lifetimes{TTL: role.TTL, MaxTTL: role.MaxTTL}
	if result.MaxTTL == 0 {
		result.MaxTTL = system.MaxLeaseTTL()
	}
	if result.TTL == 0 {
		result.TTL = min(system.DefaultLeaseTTL(), result.MaxTTL)
		if vendorMax > 0 {
			// The operator did not ask for a ttl, so a shorter default needs no warning.
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
