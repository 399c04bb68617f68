package backend

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// requireHidden sends a request while the vendor refuses everything with its own words: they are in the log, and not in
// the answer.
func (m *mount) requireHidden(vendor string, operation logical.Operation, path string, data map[string]any) {
	m.t.Helper()
	m.refuse(vendor, "to the engine")
	response, _, err := m.request(operation, path, data)
	m.vendors.ClearFaults(vendor)
	answer, encodeErr := json.Marshal(response)
	require.NoError(m.t, encodeErr)
	require.NotContains(m.t, fmt.Sprint(string(answer), err), vendorWords, "%s %s", operation, path)
	require.Contains(m.t, m.logText(), vendorWords, "%s %s: the log has what the product said", operation, path)
	m.resetRotatedSecrets()
}

// A user who writes or deletes a config chooses the host. An answer with its own words would let that user read services that
// only the Vault server can reach.
func TestWriters_VendorRefuses_WordsAreInTheLogOnly(t *testing.T) {
	m := newMount(t)
	m.clock.endWaits()
	m.must(logical.UpdateOperation, "config/trend", m.bootstrapData(nil))
	m.must(logical.UpdateOperation, "roles/trend", map[string]any{"config": "trend", "role_name": "Auditor"})
	m.requireHidden("trend", logical.UpdateOperation, "config/trend", m.configData("trend", nil))
	m.requireHidden("trend", logical.UpdateOperation, "config/trend/tidy", nil)
	m.requireHidden("trend", logical.UpdateOperation, "config/trend/rotate-root", nil)
	m.requireHidden("trend", logical.DeleteOperation, "config/trend", nil)
	m.requireHidden("trend", logical.DeleteOperation, "config/trend", map[string]any{"force": "true"})
	require.Nil(t, m.config("trend"))
}

// An intent of an earlier attempt is searched by the writes that follow it.
func TestWriters_OrphanedRootIsRefused_WordsAreInTheLogOnly(t *testing.T) {
	m := newMount(t)
	m.clock.endWaits()
	for _, request := range []struct {
		operation logical.Operation
		data      map[string]any
	}{
		{logical.UpdateOperation, m.configData("trend", map[string]any{"verify_connection": false, "request_timeout": "7s"})},
		{logical.DeleteOperation, nil},
	} {
		m.writeConfig("trend", nil)
		intent := store.RootIntent{Marker: m.markerPrefix() + "config-trend-aaaaaaaaaaaaaaaa", At: m.clock.Now().Add(-time.Hour)}
		require.NoError(t, m.backend.store.PutRootIntent(t.Context(), m.storage, "trend", intent))
		if request.data != nil {
			request.data["address"] = m.vendors.State().Vendors["trend"].URL + "/"
			request.data["tls_server_name"] = "localhost"
		}
		m.requireHidden("trend", request.operation, "config/trend", request.data)
	}
}
