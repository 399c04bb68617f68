package fortisiem_test

import (
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
)

// TestAcceptance checks, issues, and, with a revoke_url, revokes one token at the real product. The docs page
// of this vendor lists the variables.
func TestAcceptance(t *testing.T) {
	if os.Getenv("VENDORAUTH_ACC") != "1" {
		t.Skip("needs the real product: set VENDORAUTH_ACC=1 and the variables in docs/vendors/fortisiem.md")
	}
	raw := map[string]any{}
	for field, variable := range map[string]string{
		"client_id":       "FORTISIEM_CLIENT_ID",
		"client_secret":   "FORTISIEM_CLIENT_SECRET",
		"expires_in_unit": "FORTISIEM_EXPIRES_IN_UNIT",
		"verify_path":     "FORTISIEM_VERIFY_PATH",
		"revoke_url":      "FORTISIEM_REVOKE_URL",
		"revoke_method":   "FORTISIEM_REVOKE_METHOD",
		"revoke_body":     "FORTISIEM_REVOKE_BODY",
	} {
		if value := os.Getenv(variable); value != "" {
			raw[field] = value
		}
	}
	config := provider.Config{
		Name: "acceptance", Address: os.Getenv("FORTISIEM_ADDRESS"), RequestTimeout: 30 * time.Second, MaxRetries: 2,
		Fields: &framework.FieldData{Raw: raw, Schema: fortisiem.New().ConfigFields()},
		Clock:  provider.SystemClock{},
	}
	if file := os.Getenv("FORTISIEM_CA_CERT"); file != "" {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		config.CACert = string(content)
	}
	connection, err := fortisiem.New().Open(config)
	require.NoError(t, err)
	defer connection.Abandon()

	checked, err := connection.Check(t.Context())
	require.NoError(t, err)
	t.Logf("%+v", *checked)

	credential, err := connection.Issue(t.Context(), request) // waits for its turn after the check
	require.NoError(t, err)
	t.Logf("lives until %s, warnings %q", credential.ExpiresAt, credential.Warnings)
	require.True(t, credential.ExpiresAt.After(time.Now()))
	if !connection.(provider.RevocationOptional).CanRevoke() {
		return
	}
	for range 2 { // the second finds the token gone
		require.NoError(t, connection.(provider.Revoker).Revoke(t.Context(), credential.Handle))
	}
}
