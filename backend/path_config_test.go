package backend

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestConfigRead_AllFieldsSet_ReturnsNoSecret(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{
		"request_timeout": "20s", "max_retries": 1, "max_credentials": 2, "custom_metadata": map[string]any{"owner": "netsec"},
	})
	read := m.must(logical.ReadOperation, "config/ftd", nil).Data
	m.requireNow(read["root_updated_at"])
	delete(read, "root_updated_at")
	require.Equal(t, map[string]any{
		"vendor": "ftd", "address": m.vendors.URL("ftd"), "ca_cert": string(m.vendors.CACertPEM()),
		"tls_server_name": "", "tls_skip_verify": false, "request_timeout": int64(20), "max_retries": 1,
		"max_credentials": 2, "requests_per_minute": 0, "allowed_roles": []string{"*"}, "custom_metadata": map[string]string{"owner": "netsec"}, "retired": false,
		"rotation_period": int64(0), "rotation_schedule": "", "rotation_window": int64(0), "disable_automated_rotation": false,
		"last_rotation": "", "next_rotation": "", "root_expires_at": "", "rotation_suspended": false, "root_state": "current", "password_policy": "",
		"username": "admin", "api_version": "latest", "sensitive_fields_set": []string{"password"},
	}, read)
}

func TestConfigList_CredentialLives_ReturnsUsage(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.read("ftd")
	listed := m.must(logical.ListOperation, "config/", nil).Data
	require.Equal(t, []string{"ftd"}, listed["keys"])
	require.Equal(t, map[string]any{"ftd": map[string]any{
		"vendor": "ftd", "address": m.vendors.URL("ftd"), "retired": false, "credentials_used": 1, "max_credentials": 3,
		"root_state": "current", "root_expires_at": "", "root_expires_soon": false,
	}}, listed["key_info"])
}

func TestConfigCheck_ConfigStored_LogsIn(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	checked := m.must(logical.UpdateOperation, "config/ftd/check", nil).Data
	require.Equal(t, "admin", checked["identity"])
	require.Len(t, m.logins("ftd"), 1, "a check holds no second session")

	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	m.rejected(http.StatusServiceUnavailable, logical.UpdateOperation, "config/ftd/check", nil)
	m.vendors.ClearFaults("ftd")

	m.rejected(http.StatusNotFound, logical.UpdateOperation, "config/missing/check", nil, "does not exist")
}

func TestConfigCredentials_CredentialsLive_ListsNoSecret(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.must(logical.UpdateOperation, "roles/own", map[string]any{"config": "ftd"})
	leased := m.read("ftd")
	m.read("ftd")
	m.read("own")
	listed := m.must(logical.ListOperation, "config/ftd/credentials", nil).Data
	require.Len(t, listed["keys"], 2)
	byRole := map[string]map[string]any{}
	for _, info := range listed["key_info"].(map[string]any) {
		details := info.(map[string]any)
		byRole[details["role"].(string)] = details
	}
	require.Equal(t, 2, byRole["ftd"]["holders"])
	require.Equal(t, true, byRole["ftd"]["shared"])
	require.Equal(t, 1, byRole["own"]["holders"])
	require.Equal(t, "live", byRole["own"]["state"])
	require.NotContains(t, fmt.Sprint(listed), leased.data["token"])

	m.rejected(http.StatusNotFound, logical.ListOperation, "config/missing/credentials", nil)
}
