package trend_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

func TestConformance(t *testing.T) { suite().Run(t) }

func switched(name, value string) providertest.Variant {
	return providertest.Variant{Name: name + " " + value, Switches: map[string]string{name: value}}
}

// suite describes the vendor to the conformance suite.
//
// The values of expiry_precision that are missing here keep another expiry than was asked for, and
// extend_expired_key=revive makes a key work again that the suite wants ended; see expiry_test.go. Switches
// about sessions are in bootstrap_test.go.
func suite() providertest.Suite {
	return providertest.Suite{
		New:       trend.New,
		Twin:      twin.New(),
		Create:    "createApiKey",
		Required:  []string{"api_key"},
		WrongRoot: map[string]any{"api_key": "1:bm90IHRoZSBzZWNyZXQgb2YgYW55IGtleSBhdCBhbGw="},
		Role:      map[string]any{"role_id": 4},
		InvalidRoles: map[string]map[string]any{
			"role_id":   {},
			"role_name": {"role_id": 4, "role_name": "Deployment"},
			"locale":    {"role_id": 4, "locale": "de-DE"},
			"time_zone": {"role_id": 4, "time_zone": "New York"},
		},
		Use:            use,
		RateLimitPause: time.Minute,
		RotateRoute:    "createApiKey",
		FindsAll:       true,
		Variants: []providertest.Variant{
			switched("missing_api_version", "404"),
			switched("bad_secret_status", "403"),
			switched("failed_attempts_until_lockout", "1"),
			switched("secret_form", "tenant"),
			switched("retry_after", "present"),
			switched("create_status", "201"),
			switched("delete_status", "200"),
			switched("duplicate_name", "409"),
			switched("duplicate_name", "accept"),
			switched("rights_for_create", "apikey"),
			switched("rights_for_create", "administrator"),
			switched("unknown_role_status", "404"),
			switched("expiry_precision", "second"),
			switched("expiry_in_answer", "no"),
			switched("past_expiry", "accept"),
			switched("cleared_expiry", "clear"),
			switched("shortened_expiry", "accept"),
			switched("extend_expired_key", "ignore"),
			switched("expired_keys", "purged"),
			switched("search_without_match", "null"),
			switched("search_without_match", "missing"),
			switched("search_case", "sensitive"),
			switched("search_maximum", "1"),
		},
	}
}

// use asks who the key is, as an application would ask anything.
func use(ctx context.Context, client *http.Client, credential *provider.Credential) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, credential.Address+"/apikeys/current", nil)
	if err != nil {
		return false, err
	}
	request.Header.Set(credential.TokenType, credential.Token)
	request.Header.Set("api-version", credential.Data["api_version"].(string))
	answer, err := client.Do(request)
	if err != nil {
		return false, err
	}
	return answer.StatusCode == http.StatusOK, answer.Body.Close()
}
