package store

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// vendor is a provider with the fields that the store asks for.
type vendor struct{ provider.Provider }

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{AddressFields: []string{"login_address", "api_address"}}
}

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"username": {Type: framework.TypeString}, "password": {Type: framework.TypeString}, "domain": {Type: framework.TypeString},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{"scope": {Type: framework.TypeString}}
}

// putConfig stores a config under the name edge, past every cache, and returns it as storage has it.
func putConfig(t *testing.T, storage logical.Storage, config Config) *Config {
	t.Helper()
	require.NoError(t, New().CompareAndSwapConfig(t.Context(), storage, "edge", nil, &config))
	stored, err := ReadConfig(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.NotNil(t, stored)
	return stored
}

// putRecord stores a record as a later or a damaged version of the plugin would.
func putRecord(t *testing.T, storage logical.Storage, key, record string) {
	t.Helper()
	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: key, Value: []byte(record)}))
}

// requireEveryFailureReported makes each storage operation of act fail, one at a time on a storage of its own that
// prepare has filled, and requires the error. It then requires that act succeeds on a storage that works again.
func requireEveryFailureReported(t *testing.T, prepare func(logical.Storage), act func(context.Context, logical.Storage) error) {
	t.Helper()
	for n := 1; ; n++ {
		memory := &logical.InmemStorage{}
		prepare(memory)
		storage := storagetest.FailNth(memory, n)
		err := act(t.Context(), storage)
		if storage.Count() < n {
			require.NoError(t, err)
			require.Greater(t, n, 1, "the action uses no storage")
			return
		}
		require.ErrorIs(t, err, storagetest.ErrFailed, "operation %d", n)
		require.NoError(t, act(t.Context(), memory), "after operation %d has failed", n)
	}
}
