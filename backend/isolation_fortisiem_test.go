package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// configureHook writes a config with a revocation hook and a role, at a product without a limit of token requests.
func (m *mount) configureHook(hook string) {
	m.t.Helper()
	m.setSwitch("fortisiem", "revoke_route", "yes")
	m.writeConfig("fortisiem", map[string]any{"revoke_url": hook, "verify_connection": false, "max_retries": 0})
	m.must(logical.UpdateOperation, "roles/fortisiem", map[string]any{"config": "fortisiem", "ttl": "10m", "sharing": "exclusive"})
}

// The operator's own revocation hook is down, and the product is well.
func TestIsolation_RevocationHookDown_IssuesOn(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.clock.endWaits() // of the five seconds between two token requests
	m.setSwitch("fortisiem", "token_interval", "0s")
	m.configureHook("https://127.0.0.1:1/revoke")
	var leases []*vaultLease
	for range 4 {
		leases = append(leases, m.read("fortisiem"))
	}
	for _, leased := range leases {
		require.Error(t, m.revoke(leased))
	}
	require.ErrorContains(t, m.revoke(leases[0]), "circuit breaker open")
	m.read("fortisiem")
}

// The product limits token requests. Readers that get no turn do not hold off revocations, which go through the hook, nor
// count as failures of the product.
func TestIsolation_TooManyReaders_RevocationsGoOn(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.configureHook(m.vendors.State().Vendors["fortisiem"].URL + "/phoenix/rest/pub/security/oauth/revoke")
	leased := m.read("fortisiem")
	before := m.operations("fortisiem")["oauth_token"]
	m.fault(emulator.Fault{Vendor: "fortisiem", Route: "oauth_token", Delay: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	const readers = 20
	reads := make(chan error, readers)
	for range readers {
		go func() {
			_, _, err := m.handle(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/fortisiem", Storage: m.storage})
			reads <- err
		}()
	}
	ended := 0
	for ; ended < 3; ended++ { // the queue is full
		require.ErrorContains(t, <-reads, "too many are waiting")
	}
	require.NoError(t, m.revoke(leased))
	require.LessOrEqual(t, m.operations("fortisiem")["oauth_token"]-before, 1)
	_, status, err := m.request(logical.ReadOperation, "creds/fortisiem", nil)
	require.ErrorContains(t, err, "too many are waiting")
	require.NotContains(t, err.Error(), "circuit breaker")
	require.Equal(t, http.StatusTooManyRequests, status)
	cancel()
	for ; ended < readers; ended++ {
		require.Error(t, <-reads)
	}
}
