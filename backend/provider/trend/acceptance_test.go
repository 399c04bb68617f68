package trend_test

import (
	"crypto/rand"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// TestAcceptance issues, renews and revokes keys at the real product. The docs page of this vendor lists the
// variables.
func TestAcceptance(t *testing.T) {
	if os.Getenv("VENDORAUTH_ACC") != "1" {
		t.Skip("needs the real product: set VENDORAUTH_ACC=1 and the variables in docs/vendors/trend.md")
	}
	config := provider.Config{
		Name: "acceptance", Address: os.Getenv("TREND_ADDRESS"), RequestTimeout: 30 * time.Second, MaxRetries: 2,
		Fields: &framework.FieldData{Raw: fields{"api_key": os.Getenv("TREND_API_KEY")}, Schema: trend.New().ConfigFields()},
	}
	if file := os.Getenv("TREND_CA_CERT"); file != "" {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		config.CACert = string(content)
	}
	roleID, err := strconv.Atoi(os.Getenv("TREND_ROLE_ID"))
	require.NoError(t, err, "TREND_ROLE_ID")
	opened, err := trend.New().Open(config)
	require.NoError(t, err)
	defer opened.Abandon()
	conn := opened.(connection)

	checked, err := conn.Check(t.Context())
	require.NoError(t, err)
	t.Logf("%+v", *checked)

	request := provider.IssueRequest{
		Marker: "vault-acceptance-" + strings.ToLower(rand.Text()), Lifetime: 5 * time.Minute, Description: "acceptance test",
		Role: &framework.FieldData{Raw: fields{"role_id": roleID}, Schema: trend.New().RoleFields()},
	}
	credential, err := conn.Issue(t.Context(), request)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.RevokeMarker(t.Context(), request.Marker)) })
	t.Logf("expires at %s, warnings %q", credential.ExpiresAt, credential.Warnings)

	end, err := conn.Renew(t.Context(), credential.Handle, 10*time.Minute)
	require.NoError(t, err)
	require.True(t, end.After(credential.ExpiresAt))
	for range 2 { // the second finds the key gone
		require.NoError(t, conn.Revoke(t.Context(), credential.Handle))
	}
	_, err = conn.Renew(t.Context(), credential.Handle, 10*time.Minute)
	require.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
}
