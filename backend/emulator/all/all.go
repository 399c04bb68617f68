// Package all lists every emulated vendor. A new vendor is one line here.
package all

import (
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
)

// Vendors returns the emulated vendors in alphabetical order.
func Vendors() []emulator.Vendor {
	return []emulator.Vendor{
		fortianalyzer.New(),
		fortisiem.New(),
		ftd.New(),
		lacework.New(),
		trend.New(),
	}
}
