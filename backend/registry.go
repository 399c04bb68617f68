package backend

import (
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// registry lists the vendors. A new one is a package, a line here, an emulator and a page in docs.
func registry() []provider.Provider {
	return []provider.Provider{
		fortianalyzer.New(),
		fortisiem.New(),
		ftd.New(),
		lacework.New(),
		trend.New(),
	}
}
