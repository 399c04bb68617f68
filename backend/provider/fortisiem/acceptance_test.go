package fortisiem_test

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// TestAcceptance checks the root credential of the real product, issues one token and, with a revoke_url, revokes it. The
// issue waits for the rate limit after the check.
func TestAcceptance(t *testing.T) {
	providertest.Acceptance{
		New: fortisiem.New,
		Config: map[string]string{
			"address":         "FORTISIEM_ADDRESS",
			"ca_cert":         "FORTISIEM_CA_CERT",
			"client_id":       "FORTISIEM_CLIENT_ID",
			"client_secret":   "FORTISIEM_CLIENT_SECRET",
			"expires_in_unit": "FORTISIEM_EXPIRES_IN_UNIT",
			"verify_path":     "FORTISIEM_VERIFY_PATH",
			"revoke_url":      "FORTISIEM_REVOKE_URL",
			"revoke_method":   "FORTISIEM_REVOKE_METHOD",
			"revoke_body":     "FORTISIEM_REVOKE_BODY",
		},
	}.Run(t)
}
