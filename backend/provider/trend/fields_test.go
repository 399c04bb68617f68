package trend_test

import (
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

func TestOpen_InvalidRootCredential_NamesTheField(t *testing.T) {
	m := newManager(t)
	for name, test := range map[string]struct {
		raw   fields
		field string
	}{
		"nothing":                  {fields{}, "api_key"},
		"no user":                  {m.bootstrapFields(fields{"username": ""}), "username"},
		"no password":              {m.bootstrapFields(fields{"password": ""}), "password"},
		"a tenant alone":           {fields{"tenant_name": "acme"}, "username"},
		"no role":                  {fields{"username": "u", "password": "p"}, "bootstrap_role_id"},
		"role 0":                   {m.bootstrapFields(fields{"bootstrap_role_id": 0}), "bootstrap_role_id"},
		"role as a word":           {m.bootstrapFields(fields{"bootstrap_role_id": "Auditor"}), "bootstrap_role_id"},
		"key and user":             {m.bootstrapFields(fields{"api_key": "1:x"}), "username"},
		"key and password":         {fields{"api_key": "1:x", "password": "p"}, "password"},
		"key and tenant":           {fields{"api_key": "1:x", "tenant_name": "acme"}, "tenant_name"},
		"key and code":             {fields{"api_key": "1:x", "mfa_code": "1"}, "mfa_code"},
		"key and role of a key":    {fields{"api_key": "1:x", "bootstrap_role_id": 1}, "bootstrap_role_id"},
		"key with a line break":    {fields{"api_key": "1:x\nrID: y"}, "api_key"},
		"key with a space":         {fields{"api_key": "1:x "}, "api_key"},
		"a key's ID that is no ID": {fields{"api_key": "1:x", "api_key_id": -1}, "api_key_id"},
		"an allowed role 0":        {fields{"api_key": "1:x", "allowed_role_ids": []int{2, 0}}, "allowed_role_ids"},
		"an allowed role too high": {fields{"api_key": "1:x", "allowed_role_ids": []int{1 << 40}}, "allowed_role_ids"},
		"an allowed role above":    {fields{"api_key": "1:x", "allowed_role_ids": []int{1 << 31}}, "allowed_role_ids"},
		"an allowed role's name":   {fields{"api_key": "1:x", "allowed_role_ids": []string{"Auditor"}}, "allowed_role_ids"},
		"an allowed role, empty":   {fields{"api_key": "1:x", "allowed_role_names": []string{"Auditor", ""}}, "allowed_role_names"},
		"allowed roles, a map":     {fields{"api_key": "1:x", "allowed_role_names": fields{"a": "b"}}, "allowed_role_names"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trend.New().Open(provider.Config{
				Address: "dsm.example", Fields: &framework.FieldData{Raw: test.raw, Schema: trend.New().ConfigFields()},
			})
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassInvalid, failure.Class)
			assert.Equal(t, test.field, failure.Field, failure.Error())
		})
	}
}

func TestValidateRole_InvalidField_IsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		raw   fields
		field string
	}{
		"no role":         {fields{}, "role_id"},
		"both":            {fields{"role_id": 1, "role_name": "x"}, "role_name"},
		"zero":            {fields{"role_id": 0, "role_name": "x"}, "role_id"},
		"too large":       {fields{"role_id": 1 << 40}, "role_id"},
		"too large by 1":  {fields{"role_id": 1 << 31}, "role_id"},
		"not a number":    {fields{"role_id": "one"}, "role_id"},
		"unknown locale":  {fields{"role_id": 1, "locale": "de-DE"}, "locale"},
		"odd time zone":   {fields{"role_id": 1, "time_zone": "New York"}, "time_zone"},
		"odd description": {fields{"role_id": 1, "description": []int{1}}, "description"},
	} {
		t.Run(name, func(t *testing.T) {
			err := trend.New().ValidateRole(&framework.FieldData{Raw: test.raw, Schema: trend.New().RoleFields()})
			failure := providerError(t, err)
			assert.Equal(t, provider.ClassInvalid, failure.Class)
			assert.Equal(t, test.field, failure.Field)
		})
	}
	for _, raw := range []fields{{"role_id": 1}, {"role_id": 1<<31 - 1}, {"role_name": "Full Access", "locale": "ja-JP", "time_zone": "Asia/Tokyo"}} {
		require.NoError(t, trend.New().ValidateRole(&framework.FieldData{Raw: raw, Schema: trend.New().RoleFields()}))
	}
}
