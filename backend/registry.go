package backend

import (
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// registry returns the vendors that the engine supports. A new vendor needs a driver package and a line here, an
// emulator package and a line in backend/emulator/all, and a page in docs/vendors. A test fails if one is missing.
func registry() []provider.Provider {
	return []provider.Provider{
		fortianalyzer.New(),
		fortisiem.New(),
		ftd.New(),
		lacework.New(),
		trend.New(),
	}
}
