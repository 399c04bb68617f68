package ftd_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// TestAcceptance issues, renews and revokes two tokens at a real device, one by its handle and one by its
// subject, and logs out. The docs page of this vendor lists the variables.
func TestAcceptance(t *testing.T) {
	if os.Getenv("VENDORAUTH_ACC") != "1" {
		t.Skip("needs a real device: set VENDORAUTH_ACC=1 and the variables in docs/vendors/ftd.md")
	}
	raw := map[string]any{"username": os.Getenv("FTD_USERNAME"), "password": os.Getenv("FTD_PASSWORD")}
	if version := os.Getenv("FTD_API_VERSION"); version != "" {
		raw["api_version"] = version
	}
	config := provider.Config{
		Name: "acceptance", Address: os.Getenv("FTD_ADDRESS"), RequestTimeout: 30 * time.Second, MaxRetries: 2,
		Fields:   &framework.FieldData{Raw: raw, Schema: ftd.New().ConfigFields()},
		Sessions: &providertest.Sessions{},
		Clock:    provider.SystemClock{},
	}
	if file := os.Getenv("FTD_CA_CERT"); file != "" {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		config.CACert = string(content)
	}
	connection, err := ftd.New().Open(config)
	require.NoError(t, err)
	defer func() { require.NoError(t, connection.Close(t.Context())) }()

	checked, err := connection.Check(t.Context())
	require.NoError(t, err)
	t.Logf("%+v", *checked)

	marker := fmt.Sprintf("va-acceptance-%d", time.Now().UnixNano())
	credential, err := connection.Issue(t.Context(), provider.IssueRequest{Marker: marker, Lifetime: time.Minute})
	require.NoError(t, err)
	renewer := connection.(provider.Renewer)
	end, err := renewer.Renew(t.Context(), credential.Handle, time.Minute)
	require.NoError(t, err)
	require.True(t, end.Equal(credential.ExpiresAt))
	for range 2 { // the second finds the token gone
		require.NoError(t, connection.(provider.Revoker).Revoke(t.Context(), credential.Handle))
	}
	_, err = renewer.Renew(t.Context(), credential.Handle, time.Minute)
	require.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)

	second, err := connection.Issue(t.Context(), provider.IssueRequest{Marker: marker + "-2", Lifetime: time.Minute})
	require.NoError(t, err)
	for range 2 { // the second finds no such subject
		require.NoError(t, connection.(provider.MarkerRevoker).RevokeMarker(t.Context(), marker+"-2"))
	}
	_, err = renewer.Renew(t.Context(), second.Handle, time.Minute)
	require.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
}
