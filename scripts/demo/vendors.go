package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

const (
	// leaseTTL is the ttl of the roles. It is below every vendor's idle timeout.
	leaseTTL = "10m"
	// leaseMaxTTL is the max_ttl of the roles whose leases can be renewed.
	leaseMaxTTL = "1h"
	// longestLife is the longest life of a credential that cannot be revoked, in the emulators.
	longestLife = 15 * time.Minute
)

// vendor is a vendor in the demo.
type vendor struct{ vendorfacts.Vendor }

// vendors returns all vendors, in the order in which the demo shows them.
func vendors() []vendor {
	var all []vendor
	for _, facts := range vendorfacts.All() {
		all = append(all, vendor{facts})
	}
	return all
}

// configName is the name of the vendor's config in the mount.
func (v vendor) configName() string { return v.Name + "-demo" }

// roleName is the name of the vendor's role in the mount.
func (v vendor) roleName() string { return v.Name + "-reader" }

// roleFields returns the fields of the role, as "key=value".
func (v vendor) roleFields() []string {
	fields := []string{"config=" + v.configName()}
	for _, field := range slices.Sorted(maps.Keys(v.Role)) {
		fields = append(fields, field+"="+fmt.Sprint(v.Role[field]))
	}
	fields = append(fields, "ttl="+leaseTTL)
	if v.Renewable() {
		fields = append(fields, "max_ttl="+leaseMaxTTL)
	}
	return fields
}

// note is the remark on the vendor in the summary.
func (v vendor) note() string {
	switch {
	case !v.Revokes && !v.Renewable():
		return "its API neither renews nor revokes, so credentials are short-lived"
	case !v.Revokes:
		return "its API does not revoke, so credentials are short-lived"
	case !v.Renewable():
		return "its API does not renew"
	}
	return ""
}
