package providertest

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// UseBy returns a Suite.Use that uses a credential as the table of vendor facts says. It fails for a credential without a
// member that an application needs.
func UseBy(vendor vendorfacts.Vendor) func(context.Context, *http.Client, *provider.Credential) (bool, error) {
	return func(ctx context.Context, client *http.Client, credential *provider.Credential) (bool, error) {
		data := map[string]any{"address": credential.Address, "token": credential.Token, "token_type": credential.TokenType}
		maps.Copy(data, credential.Data)
		if missing := vendor.Missing(data); len(missing) > 0 {
			return false, fmt.Errorf("the credential has no %v", missing)
		}
		verdict, err := vendor.Use(ctx, client, data)
		return verdict == vendorfacts.Accepted, err
	}
}
