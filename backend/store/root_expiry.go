package store

import (
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// minExpiryChange is the smallest change of an expiry that is stored. It is more than two requests differ in what they
// show of the vendor's clock.
const minExpiryChange = time.Minute

// SetExpiry sets when the root credential itself expires, by the vendor's report. The zero time means that it does not,
// or that the vendor does not report it. It reports false if that is known already.
func (r *RootState) SetExpiry(at time.Time) bool {
	if r.ExpiresAt.IsZero() == at.IsZero() && r.ExpiresAt.Sub(at).Abs() < minExpiryChange {
		return false
	}
	r.ExpiresAt = at
	return true
}

// RootExpiresSoon reports whether the root credential expires within provider.RootExpiryNotice, or has expired.
func (c *Config) RootExpiresSoon(now time.Time) bool {
	return !c.Root.ExpiresAt.IsZero() && c.Root.ExpiresAt.Sub(now) < provider.RootExpiryNotice
}
