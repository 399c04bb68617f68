package backend

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

// secondAddress starts a server through which an emulator is reached at another address. Each request waits until
// pass is closed. arrived receives a value for each request.
func (m *mount) secondAddress(vendor string, pass <-chan struct{}) (address string, arrived <-chan struct{}) {
	m.t.Helper()
	state := m.vendors.State().Vendors[vendor]
	target, err := url.Parse(state.URL)
	require.NoError(m.t, err)
	received := make(chan struct{}, 100)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host})
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		received <- struct{}{}
		<-pass
		proxy.ServeHTTP(w, r)
	}))
	m.t.Cleanup(server.Close)
	return server.URL + target.Path, received
}

// A read during the move must not issue a credential at an address that the config leaves.
func TestConfigMove_ReadWhileVerifying_IssuesNothing(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	pass := make(chan struct{})
	address, arrived := m.secondAddress("trend", pass)
	moved := make(chan error, 1)
	go func() {
		_, _, err := m.request(logical.UpdateOperation, "config/trend", m.configData("trend", map[string]any{"address": address}))
		moved <- err
	}()
	<-arrived
	m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/trend", nil, "being moved to another address")
	require.Empty(t, m.ledgerOf("trend"))
	close(pass)
	require.NoError(t, <-moved)
	require.NoError(t, m.revoke(m.read("trend")), "it is issued and revoked at the new address")
}

func TestConfigMove_VendorRefuses_IssuesAtThePresentAddress(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	m.rejected(http.StatusServiceUnavailable, logical.UpdateOperation, "config/trend", m.configData("trend", map[string]any{"address": closed.URL}))
	require.NoError(t, m.revoke(m.read("trend")))
}

func TestConfigMove_ThereAndBack_IssuesAgain(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	pass := make(chan struct{})
	close(pass)
	address, _ := m.secondAddress("trend", pass)
	for _, changes := range []map[string]any{{"address": address}, nil} {
		m.writeConfig("trend", changes)
		require.NoError(t, m.revoke(m.read("trend")))
	}
}

func TestConfigMove_LiveCredential_IsRejected(t *testing.T) {
	m := newMount(t)
	m.configure("trend", map[string]any{"role_name": "Auditor"})
	held := m.read("trend")
	pass := make(chan struct{})
	close(pass)
	address, _ := m.secondAddress("trend", pass)
	m.rejected(http.StatusConflict, logical.UpdateOperation, "config/trend", m.configData("trend", map[string]any{"address": address}), "present address")
	require.NoError(t, m.revoke(m.read("trend")), "the config still issues")
	require.NoError(t, m.revoke(held))
}

// originIsClosed reports whether nothing is issued at an origin.
func (m *mount) originIsClosed(config, origin string) bool {
	m.t.Helper()
	entry, err := m.backend.ledger.Reserve(m.t.Context(), m.storage, ledger.Intent{ID: "closedorigintest", Config: config, Origin: origin})
	if err == nil {
		require.NoError(m.t, m.backend.ledger.Remove(m.t.Context(), m.storage, config, entry.ID))
	}
	return errors.Is(err, ledger.ErrOriginClosed)
}
