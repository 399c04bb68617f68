package backend

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
)

func TestConfigWrite_BadInput_NamesFieldAndStoresNothing(t *testing.T) {
	m := newMount(t)
	unknownCA := httptest.NewUnstartedServer(http.NotFoundHandler())
	unknownCA.Config.ErrorLog = log.New(io.Discard, "", 0)
	unknownCA.StartTLS()
	defer unknownCA.Close()

	for name, test := range map[string]struct {
		vendor  string
		changes map[string]any
		text    string
	}{
		"no vendor":                 {"ftd", map[string]any{"vendor": nil}, `"vendor"`},
		"unknown vendor":            {"ftd", map[string]any{"vendor": "acme"}, `"vendor"`},
		"another vendor's field":    {"ftd", map[string]any{"key_id": "x"}, `"key_id"`},
		"missing secret":            {"ftd", map[string]any{"password": nil}, `"password"`},
		"empty secret":              {"lacework", map[string]any{"secret_key": ""}, `"secret_key"`},
		"missing user":              {"ftd", map[string]any{"username": nil}, `"username"`},
		"missing address":           {"lacework", map[string]any{"address": nil}, `"address"`},
		"malformed address":         {"ftd", map[string]any{"address": "https://fire wall"}, `"address"`},
		"another scheme":            {"ftd", map[string]any{"address": "ftp://firewall"}, `"address"`},
		"user in the address":       {"ftd", map[string]any{"address": "https://admin@firewall"}, `"address"`},
		"http beyond loopback":      {"ftd", map[string]any{"address": "http://192.0.2.1"}, `"address"`},
		"malformed CA":              {"ftd", map[string]any{"ca_cert": "nonsense"}, `"ca_cert"`},
		"timeout too long":          {"ftd", map[string]any{"request_timeout": "10m"}, `"request_timeout"`},
		"timeout zero":              {"ftd", map[string]any{"request_timeout": 0}, `"request_timeout"`},
		"negative retries":          {"ftd", map[string]any{"max_retries": -1}, `"max_retries"`},
		"negative limit":            {"ftd", map[string]any{"max_credentials": -1}, `"max_credentials"`},
		"secret of another type":    {"ftd", map[string]any{"password": []any{"hunter2"}}, `"password"`},
		"malformed number":          {"ftd", map[string]any{"max_retries": "many"}, `max_retries`},
		"malformed API version":     {"ftd", map[string]any{"api_version": "../v6"}, `"api_version"`},
		"wrong password":            {"ftd", map[string]any{"password": "wrong-password"}, "password"},
		"wrong secret key":          {"lacework", map[string]any{"secret_key": "wrong-secret"}, "secret_key"},
		"certificate not trusted":   {"ftd", map[string]any{"ca_cert": nil}, "ca_cert"},
		"certificate of unknown CA": {"ftd", map[string]any{"address": unknownCA.URL}, "ca_cert"},
		"certificate's name wrong":  {"ftd", map[string]any{"tls_server_name": "firewall.example"}, "tls_server_name"},
	} {
		t.Run(name, func(t *testing.T) {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/edge", m.configData(test.vendor, test.changes), test.text)
			m.requireNoKeys("config/", "session/")
		})
	}
	require.Empty(t, m.logins("ftd"), "a rejected write leaves no login")
}

func TestConfigWrite_VendorUnreachable_StoresNothing(t *testing.T) {
	m := newMount(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	m.rejected(http.StatusServiceUnavailable, logical.UpdateOperation, "config/edge", m.configData("ftd", map[string]any{"address": closed.URL}))
	response, err := plainBody(m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "config/edge", Storage: m.storage}))
	require.NoError(t, err)
	require.Nil(t, response)
}

func TestConfigWrite_WithoutVerification_SendsNoRequest(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"verify_connection": false, "password": "wrong"})
	require.Empty(t, m.vendors.Requests("ftd"))
}

func TestConfigUpdate_AbsentFields_Stay(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"max_retries": 1})
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 2})
	read := m.must(logical.ReadOperation, "config/ftd", nil).Data
	require.Equal(t, 1, read["max_retries"])
	require.Equal(t, 2, read["max_credentials"])
	require.Equal(t, []string{"password"}, read["sensitive_fields_set"])
	m.must(logical.UpdateOperation, "config/ftd/check", nil)
}

func TestConfigPatch_Null_RestoresTheDefault(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"max_retries": 1, "max_credentials": 1})
	m.must(logical.PatchOperation, "config/ftd", map[string]any{"max_credentials": nil, "max_retries": nil})
	read := m.must(logical.ReadOperation, "config/ftd", nil).Data
	require.Equal(t, 3, read["max_credentials"])
	require.Equal(t, defaultMaxRetries, read["max_retries"])

	m.rejected(http.StatusNotFound, logical.PatchOperation, "config/missing", map[string]any{"max_retries": 1})
}

func TestConfigPatch_NullVerification_Verifies(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	m.rejected(http.StatusBadRequest, logical.PatchOperation, "config/ftd", map[string]any{"password": "wrong", "verify_connection": nil})
}

func TestConfigUpdate_OtherVendor_IsRejected(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", m.configData("lacework", nil), `"vendor"`)
}

// A user who can change the address could otherwise redirect the root credential to a server of their own.
func TestConfigUpdate_TrustChanges_RequiresTheSecret(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	requests := len(m.vendors.Requests("ftd"))
	for field, value := range map[string]any{
		"address": "https://192.0.2.1", "ca_cert": "", "tls_server_name": "other.example", "tls_skip_verify": true,
	} {
		for _, verify := range []bool{true, false} {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{field: value, "verify_connection": verify}, `"password": must be given again when `+field)
		}
	}
	require.Len(t, m.vendors.Requests("ftd"), requests)

	response := m.writeConfig("ftd", map[string]any{"tls_skip_verify": true})
	require.Contains(t, response.Warnings[0], "tls_skip_verify")
}

// The server at the new address would report a credential as gone that lives on at the previous one. And a user who
// can change the address could redirect the leased secrets to a server of their own.
func TestConfigUpdate_AddressMoves_SendsNoCredentialThere(t *testing.T) {
	t.Parallel()
	for vendor, role := range map[string]map[string]any{
		"ftd": nil, "fortianalyzer": {"ttl": "10m"}, "trend": {"role_name": "Auditor"},
	} {
		t.Run(vendor, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			other, err := emulator.Start(emulator.Config{Seed: 1, Now: m.clock.Now}, all.Vendors()...)
			require.NoError(t, err)
			defer func() { require.NoError(t, other.Close()) }()
			m.configure(vendor, role)
			leased := m.read(vendor)
			move := m.configData(vendor, map[string]any{
				"address": other.URL(vendor), "ca_cert": string(other.CACertPEM()), "verify_connection": false,
			})

			m.rejected(http.StatusConflict, logical.UpdateOperation, "config/"+vendor, move, "leave_behind=true")

			move["leave_behind"] = true
			m.must(logical.UpdateOperation, "config/"+vendor, move)
			require.Error(t, m.revoke(leased), "the server at the new address cannot revoke it")
			_, err = m.renew(leased, 0)
			require.Error(t, err)
			require.Empty(t, other.Requests(vendor), "no request was sent to the new address")
			require.Len(t, m.leased(vendor), 1)
			require.Len(t, m.ledgerOf(vendor), 1)

			m.must(logical.UpdateOperation, "config/"+vendor, m.configData(vendor, map[string]any{"leave_behind": true}))
			require.NoError(t, m.revoke(leased))
			require.Empty(t, m.leased(vendor))
		})
	}
}

func TestConfigUpdate_WrongPassword_KeepsTheStoredConfig(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": "wrong-password"})
	m.read("ftd")
}

func TestConfigUpdate_ConnectionChanges_EndsThePreviousLogin(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	require.Len(t, m.logins("ftd"), 1)
	m.restart()
	m.writeConfig("ftd", map[string]any{"max_retries": 1})
	require.Len(t, m.logins("ftd"), 1, "the previous login has ended, although only storage knew it")
	require.Len(t, m.keys("session/ftd/"), 1)
}

func TestConfigUpdate_OtherSettings_KeepTheLogin(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", nil)
	before := len(m.vendors.Requests("ftd"))
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 2})
	require.Len(t, m.vendors.Requests("ftd"), before)
}

func TestConfigWrite_StoredVendorIsUnknown_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	config := m.config("ftd")
	config.Vendor = "later"
	m.putConfig("ftd", config)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 1})
}
