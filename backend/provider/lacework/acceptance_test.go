package lacework_test

import (
	"os"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
)

// TestAcceptance checks the key and mints one token at the real product. The docs page of this vendor lists
// the variables.
func TestAcceptance(t *testing.T) {
	if os.Getenv("VENDORAUTH_ACC") != "1" {
		t.Skip("needs the real product: set VENDORAUTH_ACC=1 and the variables in docs/vendors/lacework.md")
	}
	config := provider.Config{
		Name: "acceptance", Address: os.Getenv("LACEWORK_ADDRESS"), RequestTimeout: 30 * time.Second, MaxRetries: 2,
		Fields: &framework.FieldData{
			Raw: map[string]any{
				"key_id": os.Getenv("LACEWORK_KEY_ID"), "secret_key": os.Getenv("LACEWORK_SECRET_KEY"),
			},
			Schema: lacework.New().ConfigFields(),
		},
		Clock: provider.SystemClock{},
	}
	if file := os.Getenv("LACEWORK_CA_CERT"); file != "" {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		config.CACert = string(content)
	}
	connection, err := lacework.New().Open(config)
	require.NoError(t, err)
	defer connection.Abandon()

	checked, err := connection.Check(t.Context())
	require.NoError(t, err)
	t.Logf("%+v", *checked)

	credential, err := connection.Issue(t.Context(), provider.IssueRequest{Lifetime: time.Minute})
	require.NoError(t, err)
	left := time.Until(credential.ExpiresAt)
	require.Positive(t, left)
	require.LessOrEqual(t, left, time.Minute)
}
