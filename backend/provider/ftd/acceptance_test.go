package ftd_test

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// TestAcceptance issues, renews and revokes two tokens at a real device, one by its handle and one by its subject, and
// logs out.
func TestAcceptance(t *testing.T) {
	providertest.Acceptance{
		New: ftd.New,
		Config: map[string]string{
			"address":     "FTD_ADDRESS",
			"ca_cert":     "FTD_CA_CERT",
			"username":    "FTD_USERNAME",
			"password":    "FTD_PASSWORD",
			"api_version": "FTD_API_VERSION",
		},
	}.Run(t)
}
