package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// origin tells where the credentials of a config live: a digest of the vendor and of every field that says where
// requests go. Each ledger entry carries the one it was issued under. Revoked at another place, a credential would
// be reported as gone and live on; and whoever may change an address could have leased secrets sent to it.
func (c *configEntry) origin(vendor provider.Provider) string {
	parts := []string{c.Vendor, c.Address}
	fields := slices.Clone(vendor.Capabilities().AddressFields)
	slices.Sort(fields)
	for _, field := range fields {
		parts = append(parts, field, fmt.Sprint(c.Fields[field]))
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(digest[:16])
}

// checkOrigin refuses to act on a credential that was issued elsewhere than where the config points now.
func (b *backend) checkOrigin(entry *ledger.Entry, config *configEntry) error {
	vendor, ok := b.providers[config.Vendor]
	if ok && entry.Origin == config.origin(vendor) {
		return nil
	}
	return &provider.Error{
		Class:   provider.ClassInvalid,
		Message: "the credential was issued at another address than the one that the config has now, and nothing is sent there on its behalf",
		Remedy:  "write the former address back, or wait until the credential has expired",
	}
}
