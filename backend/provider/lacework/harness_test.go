package lacework_test

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	emulated "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// product is an emulated account and a connection to it.
type product struct {
	*providertest.Instance
	provider.Connection
}

// newProduct serves the product until the test ends, and opens a connection to it.
func newProduct(t *testing.T) product {
	t.Helper()
	served := providertest.StartInstance(t, emulated.New())
	connection, err := lacework.New().Open(served.Config(lacework.New(), nil))
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	return product{served, connection}
}

// request returns a request for a token of one hour, with the given role fields.
func request(role map[string]any) provider.IssueRequest {
	return provider.IssueRequest{
		Marker: "va-edge-reader-1", Lifetime: time.Hour,
		Role: &framework.FieldData{Raw: role, Schema: lacework.New().RoleFields()},
	}
}
