package httpclient_test

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// named returns a client for a name, with an allow list.
func named(t *testing.T, address, allowed string) *httpclient.Client {
	t.Helper()
	ranges, err := provider.ParseAddressRanges(allowed)
	require.NoError(t, err)
	client, err := httpclient.New(httpclient.Options{
		Name: "edge", Address: address, AllowAddresses: ranges, MaxRetries: 3, RetryWait: time.Millisecond, RequestTimeout: 5 * time.Second,
	})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

func TestDo_NameOfSpecialAddress_DialsNothing(t *testing.T) {
	resolver, trap := providertest.StartResolver(t), providertest.StartTrap(t)
	for name, addresses := range map[string][]string{
		"loopback":      {"127.0.0.1"},
		"IPv6 loopback": {"::1"},
		"both":          {"127.0.0.1", "::1"},
		"unspecified":   {"0.0.0.0", "::"},
		"link-local":    {"169.254.1.1", "fe80::1"},
		"metadata":      {"169.254.169.254", "fd00:ec2::254"},
		"mapped":        {"::ffff:127.0.0.1"},
		"NAT64":         {"64:ff9b::7f00:1"},
		"multicast":     {"224.0.0.1", "ff02::1"},
		"broadcast":     {"255.255.255.255"},
	} {
		t.Run(name, func(t *testing.T) {
			resolver.Set("vendor.example", addresses...)
			before := resolver.Lookups()
			for _, request := range []httpclient.Request{read(), create()} {
				_, err := named(t, "vendor.example:"+trap.Port, "10.0.0.0/8").Do(t.Context(), request)
				failure := refusalOf(t, err)
				assert.Equal(t, request.Op, failure.Op)
				assert.Empty(t, failure.Host, "the breaker of the host does not count it")
				for _, address := range addresses {
					assert.NotContains(t, failure.Error(), address, "the answer of the resolver is not shown")
				}
			}
			assert.Equal(t, before+2, resolver.Lookups(), "a refused request is not sent again")
		})
	}
}

// A name that had an allowed address at the check of the config can have another one at the next request.
func TestDo_NameIsRebound_DialsNothing(t *testing.T) {
	resolver, trap := providertest.StartResolver(t), providertest.StartTrap(t)
	resolver.Set("vendor.example", "127.0.0.1")
	client := named(t, "vendor.example:"+trap.Port, "127.0.0.9")
	for _, address := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		resolver.Set("vendor.example", address)
		_, err := client.Do(t.Context(), read())
		requireRefused(t, err)
	}
}

func TestDo_OneOfSeveralAddressesAllowed_DialsThat(t *testing.T) {
	resolver := providertest.StartResolver(t)
	certificate := newCertificate(t, "vendor.example", time.Now().Add(time.Hour))
	server := tlsServer(t, certificate)
	base, err := url.Parse(server.URL)
	require.NoError(t, err)
	resolver.Set("vendor.example", "::1", "127.0.0.2", "127.0.0.1")
	ranges, err := provider.ParseAddressRanges("127.0.0.1")
	require.NoError(t, err)
	client, err := httpclient.New(httpclient.Options{Address: "vendor.example:" + base.Port(), CACert: certificate.pem, AllowAddresses: ranges})
	require.NoError(t, err)
	defer client.Close()
	response, err := client.Do(t.Context(), read())
	require.NoError(t, err)
	assert.True(t, response.OK())
}

// localhost is accepted for http because its address is listed. It must have that address when it is dialled, too.
func TestDo_LocalhostHasOtherAddress_DialsNothing(t *testing.T) {
	resolver, trap := providertest.StartResolver(t), providertest.StartTrap(t)
	resolver.Set("vault.localhost", "127.0.0.2")
	_, err := named(t, "http://vault.localhost:"+trap.Port, "127.0.0.1").Do(t.Context(), read())
	requireRefused(t, err)
}

func TestDo_RedirectToLoopback_IsNotFollowed(t *testing.T) {
	trap := providertest.StartTrap(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"http://127.0.0.1:" + trap.Port + "/hunter2", "//127.0.0.1:" + trap.Port, "http://[::1]:" + trap.Port} {
			address, requests := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.Header().Set("Refresh", "0; url="+location)
				w.WriteHeader(status)
			})
			response, err := newClient(t, httpclient.Options{Address: address, MaxRetries: 2}).Do(t.Context(), read())
			require.NoError(t, err)
			failure := response.StatusError("")
			assert.Equal(t, provider.ClassInvalid, failure.Class)
			assert.NotContains(t, failure.Error(), "hunter2")
			assert.EqualValues(t, 1, requests.Load())
		}
	}
}

// proxyTarget is set in a process of this test that uses a proxy: net/http reads the proxy's variables once.
const proxyTarget = "VENDORAUTH_TEST_PROXY_TARGET"

func TestDo_ProxyOnLoopback_IsUsed(t *testing.T) {
	if target := os.Getenv(proxyTarget); target != "" {
		requestThroughProxy(t, target)
		return
	}
	trap := providertest.StartTrap(t)
	var connects atomic.Int64
	proxy, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodConnect, r.Method)
		assert.Equal(t, "vendor.example:443", r.Host)
		connects.Add(1)
		w.WriteHeader(http.StatusForbidden)
	})
	for target, want := range map[string]int64{
		"vendor.example": 1, "169.254.169.254": 0, "[64:ff9b::7f00:1]:" + trap.Port: 0, "0.0.0.0:" + trap.Port: 0, "127.0.0.1:" + trap.Port: 0,
	} {
		connects.Store(0)
		process := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDo_ProxyOnLoopback_IsUsed$") // #nosec G204 -- this test
		process.Env = append(os.Environ(), proxyTarget+"="+target, "HTTPS_PROXY="+proxy, "HTTP_PROXY="+proxy, "NO_PROXY=")
		output, err := process.CombinedOutput()
		require.NoError(t, err, "%s", output)
		assert.Equal(t, want, connects.Load(), target)
	}
}

// net/http ignores a malformed proxy, and would send the request directly.
func TestNew_MalformedProxy_IsRefused(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "http://user:hunter2%@proxy.example:3128")
			_, err := httpclient.New(httpclient.Options{Address: "vendor.example"})
			require.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
			require.ErrorContains(t, err, name)
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func requestThroughProxy(t *testing.T, target string) {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Address: target})
	if target != "vendor.example" {
		requireRefused(t, err)
		return
	}
	require.NoError(t, err)
	defer client.Close()
	_, err = client.Do(t.Context(), httpclient.Request{Op: "test: read"})
	require.ErrorContains(t, err, "Forbidden", "the proxy's answer")
}
