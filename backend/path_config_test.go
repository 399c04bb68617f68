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
)

func TestConfigWrite_BadInput_IsA400ThatNamesTheFieldAndStoresNothing(t *testing.T) {
	m := newMount(t)
	unknownCA := httptest.NewUnstartedServer(http.NotFoundHandler())
	unknownCA.Config.ErrorLog = log.New(io.Discard, "", 0)
	unknownCA.StartTLS()
	defer unknownCA.Close()

	for name, test := range map[string]struct {
		vendor  string
		changes map[string]any
		says    string
	}{
		"no vendor":                {"ftd", map[string]any{"vendor": nil}, `"vendor"`},
		"unknown vendor":           {"ftd", map[string]any{"vendor": "acme"}, `"vendor"`},
		"another vendor's field":   {"ftd", map[string]any{"key_id": "x"}, `"key_id"`},
		"missing secret":           {"ftd", map[string]any{"password": nil}, `"password"`},
		"empty secret":             {"lacework", map[string]any{"secret_key": ""}, `"secret_key"`},
		"missing user":             {"ftd", map[string]any{"username": nil}, `"username"`},
		"missing address":          {"lacework", map[string]any{"address": nil}, `"address"`},
		"malformed address":        {"ftd", map[string]any{"address": "https://fire wall"}, `"address"`},
		"another scheme":           {"ftd", map[string]any{"address": "ftp://firewall"}, `"address"`},
		"user in the address":      {"ftd", map[string]any{"address": "https://admin@firewall"}, `"address"`},
		"http beyond loopback":     {"ftd", map[string]any{"address": "http://192.0.2.1"}, `"address"`},
		"malformed CA":             {"ftd", map[string]any{"ca_cert": "nonsense"}, `"ca_cert"`},
		"timeout too long":         {"ftd", map[string]any{"request_timeout": "10m"}, `"request_timeout"`},
		"timeout zero":             {"ftd", map[string]any{"request_timeout": 0}, `"request_timeout"`},
		"negative retries":         {"ftd", map[string]any{"max_retries": -1}, `"max_retries"`},
		"negative limit":           {"ftd", map[string]any{"max_credentials": -1}, `"max_credentials"`},
		"secret of another type":   {"ftd", map[string]any{"password": []any{"hunter2"}}, `"password"`},
		"malformed number":         {"ftd", map[string]any{"max_retries": "many"}, `max_retries`},
		"malformed API version":    {"ftd", map[string]any{"api_version": "../v6"}, `"api_version"`},
		"wrong password":           {"ftd", map[string]any{"password": "wrong-password"}, "password"},
		"wrong secret key":         {"lacework", map[string]any{"secret_key": "wrong-secret"}, "secret_key"},
		"certificate not trusted":  {"ftd", map[string]any{"ca_cert": nil}, "ca_cert"},
		"certificate of somebody":  {"ftd", map[string]any{"address": unknownCA.URL}, "ca_cert"},
		"certificate's name wrong": {"ftd", map[string]any{"tls_server_name": "firewall.example"}, "tls_server_name"},
	} {
		t.Run(name, func(t *testing.T) {
			status, text := m.refused(logical.UpdateOperation, "config/edge", m.configData(test.vendor, test.changes))
			require.Equal(t, http.StatusBadRequest, status, text)
			require.Contains(t, text, test.says)
			for _, prefix := range []string{"config/", "session/"} {
				stored, err := m.storage.List(t.Context(), prefix)
				require.NoError(t, err)
				require.Empty(t, stored)
			}
		})
	}
	require.Empty(t, m.logins("ftd"), "no login is left of what was refused")
}

func TestConfigWrite_UnreachableVendor_IsA503AndStoresNothing(t *testing.T) {
	m := newMount(t)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	status, text := m.refused(logical.UpdateOperation, "config/edge", m.configData("ftd", map[string]any{"address": closed.URL}))
	require.Equal(t, http.StatusServiceUnavailable, status, text)
	response, err := m.backend.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "config/edge", Storage: m.storage})
	require.NoError(t, err)
	require.Nil(t, response)
}

func TestConfigWrite_WithoutVerification_CallsNobody(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"verify_connection": false, "password": "wrong"}))
	require.Empty(t, m.vendors.Requests("ftd"))
}

func TestConfigRead_TellsEverythingButSecrets(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{
		"request_timeout": "20s", "max_retries": 1, "max_credentials": 2, "custom_metadata": map[string]any{"owner": "netsec"},
	}))
	read := m.must(logical.ReadOperation, "config/ftd", nil).Data
	require.Equal(t, map[string]any{
		"vendor": "ftd", "address": m.vendors.URL("ftd"), "ca_cert": string(m.vendors.CACertPEM()),
		"tls_server_name": "", "tls_skip_verify": false, "request_timeout": int64(20), "max_retries": 1,
		"max_credentials": 2, "requests_per_minute": 0, "custom_metadata": map[string]string{"owner": "netsec"}, "retired": false,
		"rotation_period": int64(0), "root_updated_at": formatTime(m.clock.Now()), "root_state": "current", "password_policy": "",
		"username": "admin", "api_version": "latest", "sensitive_fields_set": []string{"password"},
	}, read)
}

func TestConfigUpdate_AbsentFieldsStay(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_retries": 1}))
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 2})
	read := m.must(logical.ReadOperation, "config/ftd", nil).Data
	require.Equal(t, 1, read["max_retries"])
	require.Equal(t, 2, read["max_credentials"])
	require.Equal(t, []string{"password"}, read["sensitive_fields_set"])
	m.must(logical.ReadOperation, "config/ftd/check", nil)
}

func TestConfigPatch_NullTakesAFieldBackToItsDefault(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_retries": 1, "max_credentials": 1}))
	m.must(logical.PatchOperation, "config/ftd", map[string]any{"max_credentials": nil, "max_retries": nil})
	read := m.must(logical.ReadOperation, "config/ftd", nil).Data
	require.Equal(t, 3, read["max_credentials"])
	require.Equal(t, defaultMaxRetries, read["max_retries"])

	status, _ := m.refused(logical.PatchOperation, "config/nobody", map[string]any{"max_retries": 1})
	require.Equal(t, http.StatusNotFound, status)
}

func TestConfigUpdate_VendorIsFixed(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	status, text := m.refused(logical.UpdateOperation, "config/ftd", m.configData("lacework", nil))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, `"vendor"`)
}

// Whoever may change the address could otherwise have the root credential sent to a host of theirs.
func TestConfigUpdate_TrustChanges_DemandTheSecretAgain(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	requests := len(m.vendors.Requests("ftd"))
	for field, value := range map[string]any{
		"address": "https://192.0.2.1", "ca_cert": "", "tls_server_name": "other.example", "tls_skip_verify": true,
	} {
		for _, verify := range []bool{true, false} {
			status, text := m.refused(logical.UpdateOperation, "config/ftd", map[string]any{field: value, "verify_connection": verify})
			require.Equal(t, http.StatusBadRequest, status, field)
			require.Contains(t, text, `"password": must be given again when `+field)
		}
	}
	require.Len(t, m.vendors.Requests("ftd"), requests)

	response := m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"tls_skip_verify": true}))
	require.Contains(t, response.Warnings[0], "tls_skip_verify")
}

func TestConfigUpdate_WrongNewPassword_KeepsTheOldConfigWorking(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	status, _ := m.refused(logical.UpdateOperation, "config/ftd", map[string]any{"password": "wrong-password"})
	require.Equal(t, http.StatusBadRequest, status)
	m.read("ftd")
}

func TestConfigUpdate_NewLogin_EndsTheOldOne(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	require.Len(t, m.logins("ftd"), 1)
	m.restart()
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_retries": 1}))
	require.Len(t, m.logins("ftd"), 1, "the old login was ended, also when only storage knew it")
	sessions, err := m.storage.List(t.Context(), "session/ftd/")
	require.NoError(t, err)
	require.Len(t, sessions, 1)
}

func TestConfigUpdate_NothingOfTheConnection_KeepsTheLogin(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	before := len(m.vendors.Requests("ftd"))
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_credentials": 2})
	require.Len(t, m.vendors.Requests("ftd"), before)
}

func TestConfigCheck_LogsInForReal(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	checked := m.must(logical.ReadOperation, "config/ftd/check", nil).Data
	require.Equal(t, "admin", checked["identity"])
	require.Len(t, m.logins("ftd"), 1, "a check holds no second session")

	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	status, _ := m.refused(logical.ReadOperation, "config/ftd/check", nil)
	require.Equal(t, http.StatusServiceUnavailable, status)
	m.vendors.ClearFaults("ftd")

	status, text := m.refused(logical.ReadOperation, "config/nobody/check", nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "does not exist")
}

func TestConfigList_TellsVendorAddressAndUse(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.read("ftd")
	listed := m.must(logical.ListOperation, "config/", nil).Data
	require.Equal(t, []string{"ftd"}, listed["keys"])
	require.Equal(t, map[string]any{"ftd": map[string]any{
		"vendor": "ftd", "address": m.vendors.URL("ftd"), "retired": false, "credentials_used": 1, "max_credentials": 3,
	}}, listed["key_info"])
}

func TestConfigDelete_EndsTheEnginesLogin(t *testing.T) {
	m := newMount(t)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
	m.restart()
	m.must(logical.DeleteOperation, "config/ftd", nil)
	require.Empty(t, m.logins("ftd"))
	for _, prefix := range []string{"config/", "session/"} {
		stored, err := m.storage.List(t.Context(), prefix)
		require.NoError(t, err)
		require.Empty(t, stored)
	}
}

func TestConfigDelete_WithLiveCredentials_IsRefusedUnlessForced(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")

	status, text := m.refused(logical.DeleteOperation, "config/ftd", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, "force=true")
	m.read("ftd")
	require.NoError(t, m.revoke(m.read("ftd")))

	response := m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	require.Contains(t, response.Warnings[0], "retired")
	status, text = m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "retired")
	require.Equal(t, true, m.must(logical.ReadOperation, "config/ftd", nil).Data["retired"])

	require.NoError(t, m.revoke(leased))
	require.Len(t, m.leased("ftd"), 1, "the second credential is still leased")
	m.clock.advance(3 * 60 * 60 * 1e9)
	m.runPeriodic()
	stored, err := m.storage.List(t.Context(), "config/")
	require.NoError(t, err)
	require.Empty(t, stored, "the retired config went with its last credential")
	require.Empty(t, m.leased("ftd"))
}
