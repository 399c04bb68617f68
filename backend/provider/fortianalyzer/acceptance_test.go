package fortianalyzer

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// TestAcceptance issues, renews and revokes one session with the real product.
func TestAcceptance(t *testing.T) {
	providertest.Acceptance{
		New: New,
		Config: map[string]string{
			"address":        "FORTIANALYZER_ADDRESS",
			"ca_cert":        "FORTIANALYZER_CA_CERT",
			fieldUsername:    "FORTIANALYZER_USERNAME",
			fieldPassword:    "FORTIANALYZER_PASSWORD",
			fieldAuthAddress: "FORTIANALYZER_AUTH_ADDRESS",
			fieldClientID:    "FORTIANALYZER_CLIENT_ID",
			fieldIdleTimeout: "FORTIANALYZER_IDLE_TIMEOUT",
		},
	}.Run(t)
}
