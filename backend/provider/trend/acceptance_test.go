package trend_test

import (
	"testing"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// TestAcceptance issues, renews and revokes two keys at the real product, one by its handle and one by its name.
func TestAcceptance(t *testing.T) {
	providertest.Acceptance{
		New: trend.New,
		Config: map[string]string{
			"address": "TREND_ADDRESS",
			"ca_cert": "TREND_CA_CERT",
			"api_key": "TREND_API_KEY",
		},
		Role:     map[string]string{"role_id": "TREND_ROLE_ID"},
		Lifetime: 5 * time.Minute,
	}.Run(t)
}
