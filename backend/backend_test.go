package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// panicking is a vendor whose driver panics.
type panicking struct{ provider.Provider }

func (p panicking) Name() string { return "panicking" }

func (p panicking) ConfigFields() map[string]*framework.FieldSchema { return nil }

func (p panicking) RoleFields() map[string]*framework.FieldSchema { return nil }

func (p panicking) ValidateRole(*framework.FieldData) error { return nil }

func (p panicking) Open(provider.Config) (provider.Connection, error) {
	return panickingConnection{}, nil
}

type panickingConnection struct{ provider.Connection }

func (panickingConnection) MaxLifetime() time.Duration { return 0 }

func (panickingConnection) Close() {}

func (panickingConnection) Logout(context.Context) error { return nil }

func (panickingConnection) Issue(context.Context, provider.IssueRequest) (*provider.Credential, error) {
	panic("a fault")
}

func (panickingConnection) RevokeMarker(context.Context, string) (bool, error) {
	panic("another fault")
}

func TestDriver_Panics_FailsOnlyThatRequest(t *testing.T) {
	m := newMount(t)
	m.backend.providers["panicking"] = panicking{m.backend.providers["ftd"]}
	m.must(logical.UpdateOperation, "config/broken", map[string]any{"vendor": "panicking", "address": "https://x.example", "verify_connection": false})
	for _, sharing := range []string{"exclusive", "shared"} {
		m.must(logical.UpdateOperation, "roles/broken", map[string]any{"config": "broken", "sharing": sharing})
		text := m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/broken", nil)
		require.NotContains(t, text, "a fault\n")
	}
	m.runPeriodic()
	require.Len(t, m.ledgerOf("broken"), 2, "still to be revoked")
	m.configure("ftd", nil)
	m.read("ftd")
}

// Vault runs the plugin in metadata mode to learn its type and version: without storage, and on a machine that may
// reach no vendor.
func TestFactory_MetadataMode_ReturnsTypeAndVersion(t *testing.T) {
	created, err := Factory(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: &logical.StaticSystemView{}})
	require.NoError(t, err)
	defer created.Cleanup(context.Background())
	require.Equal(t, logical.TypeLogical, created.Type())
	versioned, ok := created.(logical.PluginVersioner)
	require.True(t, ok)
	require.Equal(t, Version, versioned.PluginVersion().Version)
	require.Contains(t, created.SpecialPaths().SealWrapStorage, "config/")
	require.Contains(t, created.SpecialPaths().SealWrapStorage, "session/")
	require.Contains(t, created.SpecialPaths().SealWrapStorage, "shared-session/")
	require.Contains(t, created.SpecialPaths().LocalStorage, "shared-session/")
	require.Contains(t, created.SpecialPaths().LocalStorage, "ledger/")
}

func TestInvalidate_ConfigChangedOnAnotherNode_IsReadAgain(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")

	here := m.backend
	m.start()
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 1})
	m.backend.Clean(t.Context())
	m.backend = here
	for _, key := range []string{"config/ftd", "role/ftd", "ledger/ftd/x", "session/ftd/x"} {
		m.backend.Invalidate(t.Context(), key)
	}
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil, "1 of 1")
}
