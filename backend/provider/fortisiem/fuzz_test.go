package fortisiem_test

import (
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// FuzzAnswers replaces the answers of the product by random ones.
func FuzzAnswers(f *testing.F) {
	suite().Fuzz(f, providertest.Fuzzing{
		Seeds: []string{
			// {"exp":1767334985,"iat":1767324185,"sub":"u"}
			`{"access_token":"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3NjczMzQ5ODUsImlhdCI6MTc2NzMyNDE4NSwic3ViIjoidSJ9.c2ln","expires_in":180}`,
			// {"exp":1e30,"iat":-1e30}
			`{"access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjFlMzAsImlhdCI6LTFlMzB9.","expires_in":"180"}`,
			`{"access_token":"opaque","expires_in":10800,"token_type":"Bearer"}`,
			`{"access_token":"opaque","expires_in":"NaN"}`,
			`{"access_token":"opaque","expires_in":2147483648,"refresh_token":"other"}`,
			`{"access_token":"opaque","expires_in":0.5}`,
			`{"error":"invalid_client","message":"§"}`,
		},
		Gone: func(operation string, status int, _ string) bool {
			switch operation {
			case "oauth_revoke":
				return status < 300
			case "health_summary":
				return status == 401
			}
			return false
		},
	})
}
