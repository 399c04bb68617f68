package lacework_test

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// TestAcceptance checks the key and issues one token with the real product.
func TestAcceptance(t *testing.T) {
	providertest.Acceptance{
		New: lacework.New,
		Config: map[string]string{
			"address":    "LACEWORK_ADDRESS",
			"ca_cert":    "LACEWORK_CA_CERT",
			"key_id":     "LACEWORK_KEY_ID",
			"secret_key": "LACEWORK_SECRET_KEY",
		},
	}.Run(t)
}
