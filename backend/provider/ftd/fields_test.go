package ftd_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
)

func TestOpen_APIVersion_IsValidated(t *testing.T) {
	for version, ok := range map[string]bool{
		"latest": true, "v1": true, "v6": true, "v12": true, "": true,
		"6": false, "v": false, "V6": false, "v6/../x": false, "v6\n": false,
	} {
		driver := ftd.New()
		raw := map[string]any{"username": "admin", "password": "p", "api_version": version}
		_, err := driver.Open(provider.Config{Address: "ftd.example", Fields: &framework.FieldData{Raw: raw, Schema: driver.ConfigFields()}})
		if ok {
			assert.NoError(t, err, "%q", version)
			continue
		}
		assert.Equal(t, "api_version", requireClass(t, provider.ClassInvalid, err).Field, "%q", version)
	}
}

func TestOpen_PasswordPolicyNotText_IsInvalid(t *testing.T) {
	driver := ftd.New()
	raw := map[string]any{"username": "admin", "password": "p", "password_policy": []int{1}}
	_, err := driver.Open(provider.Config{Address: "ftd.example", Fields: &framework.FieldData{Raw: raw, Schema: driver.ConfigFields()}})
	assert.Equal(t, "password_policy", requireClass(t, provider.ClassInvalid, err).Field)
}
