package backend

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// trustChange returns the field by which entry sends the secrets elsewhere than old, or protects them less. It is
// empty if there is none: another spelling of the same address or of the same certificates is no change.
func trustChange(old, entry *store.Config, vendor provider.Provider) string {
	switch {
	case provider.CanonicalAddress(vendor, old.Address) != provider.CanonicalAddress(vendor, entry.Address):
		return "address"
	case !sameCertificates(old.CACert, entry.CACert):
		return "ca_cert"
	case !sameServerName(old, entry):
		return "tls_server_name"
	case old.TLSSkipVerify != entry.TLSSkipVerify:
		return "tls_skip_verify"
	}
	for _, field := range vendor.Capabilities().AddressFields {
		if !sameField(old, entry, vendor, field) {
			return field
		}
	}
	return ""
}

// sameTrust reports whether two configs accept the same server certificates.
func sameTrust(old, entry *store.Config) bool {
	return sameCertificates(old.CACert, entry.CACert) && sameServerName(old, entry) && old.TLSSkipVerify == entry.TLSSkipVerify
}

// sameServerName reports whether two configs expect the same name in the server's certificate.
func sameServerName(old, entry *store.Config) bool {
	return strings.EqualFold(strings.TrimSpace(old.TLSServerName), strings.TrimSpace(entry.TLSServerName))
}

// minReplacedRootMemory is for how long, at least, credentials can be live that were issued before a write replaced the root
// credential: Vault's default for the longest lease. A mount with longer leases remembers it for longer.
const minReplacedRootMemory = 32 * 24 * time.Hour

// isUnprovenTrust reports whether a write weakens or changes the TLS trust without proving that its writer knows the root
// credential of all live credentials: it brings another root credential, or an earlier write did. An attacker on the
// network path could otherwise read the leased credentials that are sent to renew and revoke them.
func (b *backend) isUnprovenTrust(old, entry *store.Config, replacesRoot bool) bool {
	if old.TLSSkipVerify || sameTrust(old, entry) {
		return false
	}
	memory := max(minReplacedRootMemory, b.System().MaxLeaseTTL())
	return replacesRoot || b.clock.Now().Before(old.RootReplacedAt.Add(memory))
}

// connectionChanged reports whether a connection that was opened with old sends other requests than one that is
// opened with entry: to another address, with other trust, or with another login. Timeouts and retries do not
// count: the next connection continues with the same login.
func connectionChanged(old, entry *store.Config, vendor provider.Provider) bool {
	if trustChange(old, entry, vendor) != "" {
		return true
	}
	for field := range vendor.ConfigFields() {
		if !sameField(old, entry, vendor, field) {
			return true
		}
	}
	return false
}

// sameField reports whether a vendor's own field has the same value in both configs.
func sameField(old, entry *store.Config, vendor provider.Provider, field string) bool {
	before, after := fieldText(old.Fields[field]), fieldText(entry.Fields[field])
	if before != after && slices.Contains(vendor.Capabilities().AddressFields, field) {
		return provider.CanonicalAddress(nil, before) == provider.CanonicalAddress(nil, after)
	}
	return before == after
}

func fieldText(value any) string { return fmt.Sprint(value) }

// rootChanged reports whether a write brings another root credential than the stored one, or a part of one. Writing
// the stored value again is no change.
func rootChanged(old *store.Config, data *framework.FieldData, vendor provider.Provider) bool {
	for field, schema := range vendor.ConfigFields() {
		value, given := data.Raw[field]
		if given && store.IsSensitive(schema) && (old == nil || fieldText(old.Fields[field]) != fieldText(value)) {
			return true
		}
	}
	return false
}

// sameCertificates reports whether two PEM bundles hold the same certificates, in any order and formatting. A
// bundle that cannot be parsed equals only itself.
func sameCertificates(a, b string) bool {
	if strings.TrimSpace(a) == strings.TrimSpace(b) {
		return true
	}
	first, ok := certificates(a)
	second, alsoOK := certificates(b)
	return ok && alsoOK && slices.Equal(first, second)
}

// certificates returns the sorted digests of the certificates in a PEM bundle. It reports false if the bundle holds
// anything else or nothing.
func certificates(bundle string) ([][sha256.Size]byte, bool) {
	var digests [][sha256.Size]byte
	rest := []byte(bundle)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil || block.Type != "CERTIFICATE" {
			return nil, false
		}
		digests = append(digests, sha256.Sum256(block.Bytes))
	}
	slices.SortFunc(digests, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(digests), len(digests) > 0
}
