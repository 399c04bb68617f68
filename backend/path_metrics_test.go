package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

func TestMetrics_CallsAndCredentials_AreCounted(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.read("ftd")
	m.read("ftd")
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	response := m.must(logical.ReadOperation, "metrics", nil)
	text := string(response.Data[logical.HTTPRawBody].([]byte))
	for _, line := range []string{
		`vendorauth_vendor_calls_total{operation="issue",outcome="ok",vendor="ftd"} 3`,
		`vendorauth_vendor_calls_total{operation="revoke",outcome="unavailable",vendor="ftd"} 1`,
		`vendorauth_rejections_total{class="capacity",operation="issue",vendor="ftd"} 1`,
		`vendorauth_credentials{config="ftd",state="live",vendor="ftd"} 2`,
		`vendorauth_credentials{config="ftd",state="revoking",vendor="ftd"} 1`,
		`vendorauth_credentials_limit{config="ftd",vendor="ftd"} 3`,
		`vendorauth_failed_revocations{config="ftd",vendor="ftd"} 1`,
		`vendorauth_vendor_request_duration_seconds_count{operation="issue",vendor="ftd"} 3`,
	} {
		require.Contains(t, text, line)
	}
	require.NotContains(t, text, leased.data["token"])
}
