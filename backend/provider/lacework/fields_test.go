package lacework_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestOpen_KeyInvalidInHeader_NamesField(t *testing.T) {
	driver := lacework.New()
	for _, field := range []string{"key_id", "secret_key"} {
		raw := map[string]any{"key_id": "ACME_1", "secret_key": "_s"}
		raw[field] = "with\nnewline"
		_, err := driver.Open(provider.Config{
			Address: "acme", Fields: &framework.FieldData{Raw: raw, Schema: driver.ConfigFields()},
		})
		assert.Equal(t, field, providertest.Refusal(t, err).Field)
	}
}
