package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Origin tells where the credentials of a config were issued: a digest of the vendor and of every field that
// says where requests go. Each ledger entry carries the origin that it was issued under. At another address,
// a vendor would report the credential as gone while it lives on; and a user who may change the address could
// have leased secrets sent to a server of their own. The same is true of the TLS trust, which is a part of the origin where
// its writer did not know the root credential: see TrustID.
func (c *Config) Origin(vendor provider.Provider) string {
	parts := []string{c.Vendor, provider.CanonicalAddress(vendor, c.Address)}
	fields := slices.Clone(vendor.Capabilities().AddressFields)
	slices.Sort(fields)
	for _, field := range fields {
		parts = append(parts, field, provider.CanonicalAddress(nil, fmt.Sprint(c.Fields[field])))
	}
	if c.TrustID != "" {
		parts = append(parts, "trust_id", c.TrustID)
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(digest[:16])
}

// CheckOrigin refuses to act on a credential that was issued at another address than the one that the config
// has now. The error is ClassInvalid.
func (c *Config) CheckOrigin(vendor provider.Provider, origin string) error {
	if vendor != nil && origin == c.Origin(vendor) {
		return nil
	}
	return &provider.Error{
		Class:   provider.ClassInvalid,
		Message: "the credential was issued at another address than the one that the config has now, and nothing is sent there on its behalf",
		Remedy:  "write the previous address back, or wait until the credential has expired",
	}
}
