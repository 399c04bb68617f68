package backend

import (
	"crypto/rand"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// mergeConfig returns the stored config with the changes of a write, or a ClassInvalid error. If patch is true, objects
// are merged by RFC 7396.
func (b *backend) mergeConfig(old *store.Config, data *framework.FieldData, patch bool) (*store.Config, error) {
	entry := &store.Config{}
	if old != nil {
		copied := *old
		entry = &copied
	}
	vendor, err := b.vendorOf(old, data)
	if err != nil {
		return nil, err
	}
	if err := b.rejectForeignFields(vendor, data, provider.Provider.ConfigFields); err != nil {
		return nil, err
	}
	if old == nil {
		entry.Version, entry.Vendor, entry.UID = store.ConfigVersion, vendor.Name(), rand.Text()
		entry.RequestTimeout, entry.MaxRetries = defaultRequestTimeout, defaultMaxRetries
		entry.MaxCredentials = vendor.Capabilities().DefaultMaxCredentials
		entry.RequestsPerMinute = vendor.Capabilities().DefaultRequestsPerMinute
	}
	entry.Fields, err = mergeVendorFields(entry.Fields, data, vendor.ConfigFields(), vendor.Capabilities().Alternatives)
	if err != nil {
		return nil, err
	}
	changesRoot := rootChanged(old, data, vendor)
	if changesRoot {
		entry.RootMarker = "" // the written root credential is not the one that the engine created
		entry.Root.SuppliedByOperator(old, data.Raw, vendor, b.clock.Now())
	}
	if err := mergeCommon(entry, data, vendor, patch); err != nil {
		return nil, err
	}
	if err := mergeRotation(entry, data, vendor, b.clock.Now()); err != nil {
		return nil, err
	}
	if err := requireSecrets(old, entry, data, vendor); err != nil {
		return nil, err
	}
	if old != nil && b.isUnprovenTrust(old, entry, changesRoot) {
		entry.TrustID = rand.Text()
	}
	if old != nil && changesRoot {
		entry.RootReplacedAt = b.clock.Now()
	}
	if old == nil || connectionChanged(old, entry, vendor) || changesRoot && entry.Root.HasKeptRoots() {
		entry.ConnectionID, entry.SharingEpoch = rand.Text(), ""
	}
	return entry, nil
}

// suppliesRoot reports whether a write to a config carries a root credential, or a part of one.
func (b *backend) suppliesRoot(entry *store.Config, data *framework.FieldData) bool {
	for field, schema := range b.providers[entry.Vendor].ConfigFields() {
		if _, given := data.Raw[field]; given && store.IsSensitive(schema) {
			return true
		}
	}
	return false
}

// wantsVerification reports whether the vendor must accept a write before it is stored.
func wantsVerification(data *framework.FieldData) bool {
	verify, given := fieldValue[bool](data, "verify_connection")
	return verify || !given
}

func (b *backend) vendorOf(old *store.Config, data *framework.FieldData) (provider.Provider, error) {
	name, _ := data.Get("vendor").(string)
	known := slices.Sorted(maps.Keys(b.providers))
	switch {
	case old != nil && name != "" && name != old.Vendor:
		return nil, provider.InvalidField("vendor", "is fixed to %q; delete the config or use another name", old.Vendor)
	case old != nil:
		name = old.Vendor
	case name == "":
		return nil, provider.InvalidField("vendor", "is required, one of %q", known)
	}
	vendor, ok := b.providers[name]
	if !ok {
		return nil, provider.InvalidField("vendor", "%q is not supported, only %q", name, known)
	}
	return vendor, nil
}

// mergeCommon applies the fields that all vendors share.
func mergeCommon(c *store.Config, data *framework.FieldData, vendor provider.Provider, patch bool) error {
	applyField(data, "address", &c.Address)
	applyField(data, "ca_cert", &c.CACert)
	applyField(data, "tls_server_name", &c.TLSServerName)
	applyField(data, "tls_skip_verify", &c.TLSSkipVerify)
	applySeconds(data, "request_timeout", &c.RequestTimeout)
	applyField(data, "max_retries", &c.MaxRetries)
	applyField(data, "max_credentials", &c.MaxCredentials)
	applyField(data, "requests_per_minute", &c.RequestsPerMinute)
	if raw, given := data.Raw[fieldCustomMetadata]; given {
		c.CustomMetadata = mergeMetadata(c.CustomMetadata, raw, patch)
	}
	if err := mergeAllowedRoles(c, data); err != nil {
		return err
	}
	if c.RequestTimeout <= 0 || c.RequestTimeout > maxRequestTimeout {
		return provider.InvalidField("request_timeout", "must be between 1s and %s", maxRequestTimeout)
	}
	if c.MaxRetries < 0 || c.MaxRetries > maxMaxRetries {
		return provider.InvalidField("max_retries", "must be between 0 and %d", maxMaxRetries)
	}
	if raw, given := data.Raw["max_credentials"]; given && raw == nil {
		c.MaxCredentials = vendor.Capabilities().DefaultMaxCredentials
	}
	if raw, given := data.Raw["requests_per_minute"]; given && raw == nil {
		c.RequestsPerMinute = vendor.Capabilities().DefaultRequestsPerMinute
	}
	if c.RequestsPerMinute < 0 || c.RequestsPerMinute > maxRequestsPerMinute {
		return provider.InvalidField("requests_per_minute", "must be between 0 and %d; 0 is unlimited", maxRequestsPerMinute)
	}
	if c.MaxCredentials < 0 {
		return provider.InvalidField("max_credentials", "must not be negative; 0 is unlimited")
	}
	if c.Address == "" {
		return provider.InvalidField("address", "is required")
	}
	return nil
}

// allRoles is the value of allowed_roles that allows all roles. It is the default.
var allRoles = []string{"*"}

// mergeAllowedRoles applies which roles may draw on the config.
func mergeAllowedRoles(c *store.Config, data *framework.FieldData) error {
	names, given := fieldValue[[]string](data, "allowed_roles")
	switch {
	case !given || slices.Equal(names, shownAllowedRoles(c)):
	case slices.Equal(names, allRoles):
		c.AllowedRoles = nil
	case slices.Contains(names, ""):
		return provider.InvalidField("allowed_roles", "must not contain an empty name")
	default:
		c.AllowedRoles = append([]string{}, names...) // empty, and not nil, if no role is allowed
	}
	return nil
}

// shownAllowedRoles returns allowed_roles as a read shows it.
func shownAllowedRoles(c *store.Config) []string {
	if c.AllowedRoles == nil {
		return allRoles
	}
	return c.AllowedRoles
}

// requireSecrets requires the secrets again when a write would send them to another address, or with less
// protection, than when they were supplied. Otherwise the right to change an address would include the right to
// read the root credential.
func requireSecrets(old, entry *store.Config, data *framework.FieldData, vendor provider.Provider) error {
	if old == nil {
		return nil
	}
	changed := trustChange(old, entry, vendor)
	if changed == "" {
		return nil
	}
	if !wantsVerification(data) && old.Root.HasKeptRoots() {
		return provider.InvalidField("verify_connection",
			"must be true when %s changes after a rotation: otherwise the kept root credentials would be tried at the new address", changed)
	}
	schema := vendor.ConfigFields()
	for _, field := range slices.Sorted(maps.Keys(schema)) {
		_, stored := old.Fields[field]
		_, kept := entry.Fields[field] // not if the write replaces it with an alternative
		_, given := data.Raw[field]
		if store.IsSensitive(schema[field]) && stored && kept && !given {
			return provider.InvalidField(field, "must be given again when %s changes", changed)
		}
	}
	return nil
}
