package backend

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestRegistry_FieldsThatVendorsShareHaveOneTypeAndNoneIsTheEngines(t *testing.T) {
	b := newBackend(options{clock: provider.SystemClock{}, random: rand.Reader})
	for name, test := range map[string]struct {
		schema schemaFunc
		own    map[string]*framework.FieldSchema
	}{
		"config": {provider.Provider.ConfigFields, configFields(nil)},
		"role":   {provider.Provider.RoleFields, b.pathRoles()[1].Fields},
	} {
		types := map[string]framework.FieldType{}
		for _, vendor := range registry() {
			for field, schema := range test.schema(vendor) {
				require.NotContains(t, test.own, field, "%s field of %s", name, vendor.Name())
				require.NotEmpty(t, schema.Description, "%s field %s of %s", name, field, vendor.Name())
				if known, ok := types[field]; ok {
					require.Equal(t, known, schema.Type, "%s field %s of %s", name, field, vendor.Name())
				}
				types[field] = schema.Type
			}
		}
	}
}

func TestRegistry_NamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, vendor := range registry() {
		require.False(t, seen[vendor.Name()], vendor.Name())
		seen[vendor.Name()] = true
	}
}

// Vault runs the plugin in metadata mode to learn its type and version: without storage, and on a machine
// that may reach no vendor.
func TestFactory_MetadataMode_TellsTypeAndVersion(t *testing.T) {
	made, err := Factory(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: &logical.StaticSystemView{}})
	require.NoError(t, err)
	defer made.Cleanup(context.Background())
	require.Equal(t, logical.TypeLogical, made.Type())
	versioned, ok := made.(logical.PluginVersioner)
	require.True(t, ok)
	require.Equal(t, Version, versioned.PluginVersion().Version)
	require.Contains(t, made.SpecialPaths().SealWrapStorage, "config/")
	require.Contains(t, made.SpecialPaths().SealWrapStorage, "session/")
	require.Contains(t, made.SpecialPaths().LocalStorage, "ledger/")
}

// The golden files pin the layout of the stored records: a change of it needs a new schema version.
func TestRecords_StoredLayoutIsPinned(t *testing.T) {
	for file, record := range map[string]any{
		"config_v1.json": &store.Config{
			Version: 1, Vendor: "ftd", UID: "I", ConnectionID: "G", SharingEpoch: "S", Revision: "R", Retired: true,
			RootMarker: "vault-abcdefgh-config-edge-id",
			Address:    "https://firewall.example", CACert: "PEM", TLSServerName: "firewall.example", TLSSkipVerify: true,
			RequestTimeout: 30 * time.Second, MaxRetries: 2, MaxCredentials: 3, RequestsPerMinute: 450, CustomMetadata: map[string]string{"owner": "netsec"},
			Fields: map[string]any{"username": "admin", "password": "secret"}, RotationPeriod: 24 * time.Hour,
			Root: store.RootState{
				UpdatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), RecheckCredentials: true, Previous: json.RawMessage(`{"v":1}`),
				VaultManaged: true, Unverified: true, Candidates: []store.RootCandidate{{Fields: map[string]any{"password": "next"}, ConnectionID: "N", State: store.CandidateRejected}},
			},
		},
		"role_v1.json": &store.Role{
			Version: 1, Config: "edge", Vendor: "lacework", TTL: 15 * time.Minute, MaxTTL: time.Hour,
			Sharing: "shared", MaxWait: 30 * time.Second, Revision: "R",
			Fields: map[string]any{"subaccount": "emea"},
		},
	} {
		golden, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		encoded, err := json.Marshal(record)
		require.NoError(t, err)
		require.JSONEq(t, string(golden), string(encoded), file)
	}
}

func TestInfo_TellsWhatEachVendorCanDo(t *testing.T) {
	m := newMount(t)
	info := m.must(logical.ReadOperation, "info", nil).Data
	require.Equal(t, Version, info["version"])
	vendors := info["vendors"].(map[string]any)
	require.Len(t, vendors, len(registry()))
	ftd := vendors["ftd"].(map[string]any)
	require.Equal(t, "within_life", ftd["renewal"])
	require.Equal(t, true, ftd["revokes"])
	lacework := vendors["lacework"].(map[string]any)
	require.Equal(t, "none", lacework["renewal"])
	require.Equal(t, false, lacework["revokes"])
	require.NotEmpty(t, lacework["revocation"])
}
