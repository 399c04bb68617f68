package lease

import (
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
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

// wholeSeconds rounds a duration up, since vendors count seconds and a renewal must not shorten a credential.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// defaultMaxTTLFactor is the max_ttl of a role without one, as a multiple of its ttl, where the credential's end is
// fixed when it is issued, and where readers share it. The mount's maximum, 32 days by default, would make
// credentials that outlive by weeks what the operator asked for, wherever a revocation fails or does not exist.
const defaultMaxTTLFactor = 4

// Lifetimes are the durations of a role's leases, within the limits of mount and vendor.
type Lifetimes struct {
	// TTL is how long a lease lasts without renewal, MaxTTL how long it can be renewed.
	TTL, MaxTTL time.Duration
	// Warnings name each limit that applied.
	Warnings []string
}

// sharedLifetime is how long a shared credential lives at the vendor, where the vendor grants it: long enough for every
// renewal of its first lease, and for new leases of the full TTL during the first half of its life. Otherwise a role
// whose ttl is near its max_ttl would need another credential for each reader.
func (l Lifetimes) sharedLifetime() time.Duration { return max(l.MaxTTL, 2*l.TTL+lifetimeMargin) }

// minSharedLifetime is the shortest life of a credential that can be shared: the vendor would have to be asked for
// almost every reader.
var minSharedLifetime = failpoint.Wait(2*(30*time.Second+lifetimeMargin), 10*time.Second)

// CheckSharing refuses a shared role whose credentials live too short to be shared; vendorMax is as in Lifetimes.
func CheckSharing(role *store.Role, vendorMax time.Duration) error {
	if !role.IsShared() || vendorMax == 0 || vendorMax >= minSharedLifetime {
		return nil
	}
	return &provider.Error{
		Class: provider.ClassInvalid, Field: "sharing",
		Message: fmt.Sprintf("the vendor ends a credential after %s, too soon to share it: a shared credential must live for at least %s", vendorMax, minSharedLifetime),
		Remedy:  "let the vendor grant a longer life, or use sharing=" + store.SharingExclusive,
	}
}

// Lifetimes computes the durations of a role's leases: the role's own, or else the mount's; for max_ttl, where that
// applies, defaultMaxTTLFactor times the ttl. They are limited by the mount and by vendorMax, the longest life that the
// vendor grants at once (zero: no limit is known). Where renewals extend the credential, vendorMax limits the ttl and
// not the max_ttl; the ttl of a shared role is then limited to less, so that not every lease needs a vendor call that
// moves the credential's end.
func (c *Credentials) Lifetimes(role *store.Role, vendorMax time.Duration, renewal provider.Renewal) Lifetimes {
	system := c.System()
	result := Lifetimes{TTL: role.TTL, MaxTTL: role.MaxTTL}
	if role.IsShared() && renewal == provider.RenewalExtends && vendorMax > 0 {
		vendorMax = max(vendorMax-confirmInterval-lifetimeMargin, vendorMax/2)
	}
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
	if fixed := renewal == provider.RenewalWithinLife || role.IsShared(); fixed && role.MaxTTL == 0 && result.TTL < result.MaxTTL/defaultMaxTTLFactor {
		result.MaxTTL = defaultMaxTTLFactor * result.TTL
	}
	return result
}

// atVendor is how long a credential of the role must live at the vendor; vendorMax is as in Lifetimes.
func (l Lifetimes) atVendor(role *store.Role, vendorMax time.Duration, renewal provider.Renewal) time.Duration {
	lifetime := l.TTL
	switch {
	case role.IsShared():
		lifetime = l.sharedLifetime()
	case renewal == provider.RenewalWithinLife:
		// The end cannot be moved later, so the life must cover every renewal from the start.
		lifetime = l.MaxTTL
	}
	lifetime += lifetimeMargin
	if vendorMax > 0 {
		lifetime = min(lifetime, vendorMax)
	}
	return lifetime.Truncate(time.Second)
}

// RoleWarnings returns what an operator who writes a role must know of its lifetimes: each limit that applies, and how
// long a credential lives at the vendor if that is longer than the ttl, or if nothing can end it and no ttl is set. The
// caller holds conn, a connection of the role's config.
func (c *Credentials) RoleWarnings(role *store.Role, conn *pool.Conn, vendor provider.Provider) []string {
	can := vendor.Capabilities()
	lifetimes := c.Lifetimes(role, conn.MaxLifetime(), can.Renewal)
	life := lifetimes.atVendor(role, conn.MaxLifetime(), can.Renewal)
	revocable := canRevoke(conn.Connection, can)
	switch {
	case can.LifetimeByVendor && !revocable:
		return append(lifetimes.Warnings, "the vendor alone decides how long a credential lives, and the engine cannot revoke it: it may work after its lease has ended")
	case role.TTL == 0 && !revocable && life <= lifetimes.TTL+lifetimeMargin:
		return append(lifetimes.Warnings, fmt.Sprintf("ttl is not set: each credential is issued for %s, and the engine cannot revoke it, "+
			"so it works until then, also after its lease is revoked; set the shortest ttl that is enough", life))
	case can.LifetimeByVendor, can.Renewal == provider.RenewalExtends, life <= lifetimes.TTL+lifetimeMargin:
		return lifetimes.Warnings
	}
	warning := fmt.Sprintf("each credential is issued for %s", life)
	if role.MaxTTL == 0 {
		warning += fmt.Sprintf(", since max_ttl is not set: by default it is %d times the ttl, as far as mount and vendor allow", defaultMaxTTLFactor)
	}
	if revocable {
		warning += "; if its revocation fails, it works until then"
	} else {
		warning += fmt.Sprintf("; the engine cannot revoke it, so it may work for up to %s after the end of a lease of %s", life-lifetimes.TTL, lifetimes.TTL)
	}
	return append(lifetimes.Warnings, warning)
}
