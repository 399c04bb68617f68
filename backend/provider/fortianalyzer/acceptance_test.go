package fortianalyzer

import (
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// TestAcceptance issues, renews and revokes one session at the real product. The docs page of this vendor
// lists the variables.
func TestAcceptance(t *testing.T) {
	if os.Getenv("VENDORAUTH_ACC") != "1" {
		t.Skip("needs the real product: set VENDORAUTH_ACC=1 and the variables in docs/vendors/fortianalyzer.md")
	}
	raw := map[string]any{
		fieldUsername: os.Getenv("FORTIANALYZER_USERNAME"),
		fieldPassword: os.Getenv("FORTIANALYZER_PASSWORD"),
	}
	for field, variable := range map[string]string{
		fieldAuthAddress: "FORTIANALYZER_AUTH_ADDRESS",
		fieldClientID:    "FORTIANALYZER_CLIENT_ID",
		fieldIdleTimeout: "FORTIANALYZER_IDLE_TIMEOUT",
	} {
		if value := os.Getenv(variable); value != "" {
			raw[field] = value
		}
	}
	config := provider.Config{
		Name: "acceptance", Address: os.Getenv("FORTIANALYZER_ADDRESS"), RequestTimeout: 30 * time.Second, MaxRetries: 2,
		Fields: &framework.FieldData{Raw: raw, Schema: New().ConfigFields()},
	}
	if file := os.Getenv("FORTIANALYZER_CA_CERT"); file != "" {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		config.CACert = string(content)
	}
	conn, err := New().Open(config)
	require.NoError(t, err)
	defer conn.Abandon()

	checked, err := conn.Check(t.Context())
	require.NoError(t, err)
	t.Logf("%+v", *checked)

	credential, err := conn.Issue(t.Context(), provider.IssueRequest{Lifetime: min(time.Minute, conn.MaxLifetime())})
	require.NoError(t, err)
	end, err := conn.(provider.Renewer).Renew(t.Context(), credential.Handle, time.Minute)
	require.NoError(t, err)
	require.False(t, end.Before(credential.ExpiresAt))
	for range 2 { // the second finds the session gone
		require.NoError(t, conn.(provider.Revoker).Revoke(t.Context(), credential.Handle))
	}
	_, err = conn.(provider.Renewer).Renew(t.Context(), credential.Handle, time.Minute)
	require.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
}
