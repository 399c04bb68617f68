package backend

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// serverAddresses are addresses of the Vault server, its link or a metadata service, in the forms that resolvers, proxies
// and translators understand. %s is a port.
var serverAddresses = map[string]string{
	"loopback":        "127.0.0.2:%s",
	"IPv6 loopback":   "[::1]:%s",
	"unspecified":     "0.0.0.0:%s",
	"IPv6 any":        "[::]:%s",
	"link-local":      "169.254.1.2:%s",
	"IPv6 link-local": "[fe80::1]:%s",
	"metadata":        "169.254.169.254:%s",
	"AWS metadata":    "[fd00:ec2::254]:%s",
	"Alibaba":         "100.100.100.200:%s",
	"broadcast":       "255.255.255.255:%s",
	"multicast":       "224.0.0.1:%s",
	"mapped":          "[::ffff:127.0.0.2]:%s",
	"NAT64":           "[64:ff9b::7f00:2]:%s",
	"6to4":            "[2002:7f00:2::]:%s",
	"decimal":         "2130706434:%s",
	"octal":           "0177.0.0.2:%s",
	"hexadecimal":     "0x7f.0.0.2:%s",
	"short":           "127.2:%s",
	"trailing dot":    "127.0.0.2.:%s",
	"full width":      "１２７.0.0.2:%s",
}

// addressFields are all config fields of a vendor with the address of a host.
func addressFields(vendor provider.Provider) []string {
	return append([]string{"address"}, vendor.Capabilities().AddressFields...)
}

// newGuardedMount returns a mount whose plugin may send requests to 127.0.0.1, where the emulators are, and to no other
// address of this machine.
func newGuardedMount(t *testing.T) *mount {
	t.Helper()
	m := newMount(t)
	allowed, err := provider.ParseAddressRanges("127.0.0.1")
	require.NoError(t, err)
	m.allowAddresses = allowed
	m.restart()
	return m
}

func TestConfigWrite_ServerAddress_IsRejected(t *testing.T) {
	m, trap := newGuardedMount(t), providertest.StartTrap(t)
	for _, vendor := range registry() {
		for _, field := range addressFields(vendor) {
			t.Run(vendor.Name()+" "+field, func(t *testing.T) {
				for name, address := range serverAddresses {
					for _, scheme := range []string{"https", "http"} {
						for _, verify := range []bool{true, false} {
							m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/edge", m.configData(vendor.Name(), map[string]any{
								field: scheme + "://" + fmt.Sprintf(address, trap.Port) + "/x", "verify_connection": verify,
							}), `field "`+field+`"`)
							m.requireNoKeys("config/")
							require.Zero(t, trap.Connections(), name)
						}
					}
				}
				require.Empty(t, m.vendors.Requests(vendor.Name()), "the root credential is not sent either")
			})
		}
	}
}

// A path is no address: it cannot name another host.
func TestConfigWrite_PathWithHost_IsRejected(t *testing.T) {
	m, trap := newGuardedMount(t), providertest.StartTrap(t)
	for _, field := range []string{"token_path", "verify_path"} {
		for _, path := range []string{
			"http://127.0.0.2:%s/x", "//127.0.0.2:%s/x", "/\\127.0.0.2:%s", "@127.0.0.2:%s/", "127.0.0.2:%s", "/../@127.0.0.2:%s", "/x?y=%s", "/x#%s", "/%%2f%%2f127.0.0.2:%s",
		} {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/edge", m.configData("fortisiem", map[string]any{
				field: fmt.Sprintf(path, trap.Port),
			}), `field "`+field+`"`)
		}
	}
	require.Empty(t, m.vendors.Requests("fortisiem"))
}

// A name is checked when it has been resolved, at each request: also when it had an allowed address at the config's
// check.
func TestAddress_NameResolvesToServer_DialsNothing(t *testing.T) {
	resolver, trap := providertest.StartResolver(t), providertest.StartTrap(t)
	m := newGuardedMount(t)
	m.clock.endWaits() // nothing is sent, so no vendor counts the requests
	for _, vendor := range registry() {
		t.Run(vendor.Name(), func(t *testing.T) {
			resolver.Set("vendor.example", "127.0.0.2", "::1")
			config := m.configData(vendor.Name(), map[string]any{"address": "vendor.example:" + trap.Port})
			if field, other := "auth_address", config["auth_address"]; other != nil {
				config[field] = "vendor.example:" + trap.Port // it is asked first
			}
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/edge", config, "a loopback address")
			m.requireNoKeys("config/")

			config["verify_connection"] = false
			m.must(logical.UpdateOperation, "config/"+vendor.Name(), config)
			m.must(logical.UpdateOperation, "roles/"+vendor.Name(), roleData(vendor.Name(), map[string]any{"config": vendor.Name()}))
			for _, addresses := range [][]string{{"127.0.0.2"}, {"::1"}, {"169.254.169.254"}, {"::ffff:127.0.0.2"}, {"0.0.0.0"}} {
				resolver.Set("vendor.example", addresses...)
				m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/"+vendor.Name(), nil)
				require.Empty(t, m.ledgerOf(vendor.Name()), "nothing was sent, so nothing can exist")
			}
			m.must(logical.DeleteOperation, "config/"+vendor.Name(), nil)
		})
	}
}

// The URL is checked when it is called, too: its name can have another address then.
func TestAddress_RevokeURLIsRebound_DialsNothing(t *testing.T) {
	resolver, trap := providertest.StartResolver(t), providertest.StartTrap(t)
	m := newGuardedMount(t)
	resolver.Set("hook.example", "127.0.0.2")
	m.writeConfig("fortisiem", map[string]any{"revoke_url": "https://hook.example:" + trap.Port + "/revoke"})
	m.must(logical.UpdateOperation, "roles/fortisiem", map[string]any{"config": "fortisiem", "ttl": "15m"})
	leased := m.read("fortisiem")
	err := m.revoke(leased)
	require.ErrorContains(t, err, "revoke_url")
	require.ErrorContains(t, err, "a loopback address")
}

// revoke_body can hold the credential of the revocation service.
func TestConfigRead_RevokeBody_IsNotShown(t *testing.T) {
	m := newMount(t)
	const body = `{"token":"{{token}}","api_key":"hook-hunter2"}`
	m.writeConfig("fortisiem", map[string]any{"revoke_url": m.configData("fortisiem", nil)["address"].(string) + "/revoke", "revoke_body": body})
	for _, request := range []*logical.Request{
		{Operation: logical.ReadOperation, Path: "config/fortisiem"},
		{Operation: logical.ListOperation, Path: "config/"},
	} {
		request.Storage = m.storage
		response, _, err := m.handle(t.Context(), request)
		require.NoError(t, err)
		require.NotContains(t, fmt.Sprint(response.Data), "hunter2")
	}
	read := m.must(logical.ReadOperation, "config/fortisiem", nil).Data
	require.NotContains(t, read, "revoke_body")
	require.True(t, slices.Contains(read["sensitive_fields_set"].([]string), "revoke_body"))
	require.NotContains(t, m.logText(), "hunter2")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/fortisiem", map[string]any{"revoke_body": []any{"hook-hunter2"}}, "must be text")
}

func TestFactory_AllowAddresses_ComesFromTheEnvironment(t *testing.T) {
	for value, want := range map[string]int{"": http.StatusBadRequest, "127.0.0.0/8": http.StatusServiceUnavailable} {
		t.Run(value, func(t *testing.T) {
			t.Setenv(provider.AllowAddressesVariable, value)
			storage := &logical.InmemStorage{}
			made, err := Factory(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: newSystem(), StorageView: storage})
			require.NoError(t, err)
			defer made.Cleanup(t.Context())
			response, err := made.HandleRequest(t.Context(), &logical.Request{
				Operation: logical.CreateOperation, Path: "config/edge", Storage: storage,
				Data: map[string]any{"vendor": "lacework", "address": "127.0.0.1:1", "key_id": "x", "secret_key": "y", "max_retries": 0},
			})
			require.NoError(t, err)
			status := http.StatusBadRequest
			if !response.IsError() {
				status, _ = response.Data[logical.HTTPStatusCode].(int)
			}
			require.Equal(t, want, status, "%v", response)
		})
	}
}

func TestFactory_MalformedAllowAddresses_SaysWhatToDo(t *testing.T) {
	t.Setenv(provider.AllowAddressesVariable, "127.0.0.0/8,localhost")
	_, err := Factory(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: newSystem()})
	require.ErrorContains(t, err, provider.AllowAddressesVariable)
	require.ErrorContains(t, err, `"localhost" is not an IP address`)
	require.ErrorContains(t, err, "register the plugin again")
}

// A malformed proxy would be ignored, and the root credentials sent directly.
func TestFactory_MalformedProxy_Fails(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "http://user:hunter2%@proxy.example:3128")
			_, err := Factory(t.Context(), &logical.BackendConfig{System: &logical.StaticSystemView{}})
			require.ErrorContains(t, err, name)
			require.NotContains(t, err.Error(), "hunter2")
			t.Setenv(name, "http://user:hunter2@proxy.example:3128")
			created, err := Factory(t.Context(), &logical.BackendConfig{Logger: hclog.NewNullLogger(), System: &logical.StaticSystemView{}})
			require.NoError(t, err)
			created.Cleanup(t.Context())
		})
	}
}
