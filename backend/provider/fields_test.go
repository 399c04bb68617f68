package provider_test

import (
	"errors"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func fieldData(raw map[string]any) *framework.FieldData {
	return &framework.FieldData{Raw: raw, Schema: map[string]*framework.FieldSchema{
		"name":    {Type: framework.TypeString},
		"version": {Type: framework.TypeString, Default: "latest"},
		"wide":    {Type: framework.TypeBool},
	}}
}

func TestFields_ValidValues_AreReturned(t *testing.T) {
	data := fieldData(map[string]any{"name": "n", "wide": "true"})
	name, err := provider.RequiredField(data, "name")
	require.NoError(t, err)
	assert.Equal(t, "n", name)
	wide, err := provider.BoolField(data, "wide")
	require.NoError(t, err)
	assert.True(t, wide)
	version, err := provider.StringField(data, "version")
	require.NoError(t, err)
	assert.Equal(t, "latest", version, "an absent field has its schema's default")
}

func TestFields_NilFieldData_ReturnsZeroValues(t *testing.T) {
	text, err := provider.StringField(nil, "name")
	require.NoError(t, err)
	assert.Empty(t, text)
	yes, err := provider.BoolField(nil, "wide")
	require.NoError(t, err)
	assert.False(t, yes)
	_, err = provider.RequiredField(nil, "name")
	assert.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
}

func TestFields_WrongType_NamesFieldAndHidesValue(t *testing.T) {
	data := fieldData(map[string]any{"name": map[string]any{"hunter2": 1}, "wide": "hunter2"})
	_, textErr := provider.StringField(data, "name")
	_, boolErr := provider.BoolField(data, "wide")
	for field, err := range map[string]error{"name": textErr, "wide": boolErr} {
		failure, ok := errors.AsType[*provider.Error](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, provider.ClassInvalid, failure.Class)
		assert.Equal(t, field, failure.Field)
		assert.NotContains(t, failure.Error(), "hunter2")
	}
}
