package trend_test

import (
	"testing"
	"time"

	emulatortrend "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
//
// Some values are missing here, because the suite expects the requested expiry, and that an expired key stays
// expired: several values of expiry_precision store another expiry, and extend_expired_key=revive extends an expired
// key. issue_expiry_test.go and renew_test.go cover them. bootstrap_test.go covers the switches of sessions.
func suite() providertest.Suite {
	facts := vendorfacts.Named("trend")
	return providertest.Suite{
		New:       trend.New,
		Emulator:  emulatortrend.New(),
		Create:    facts.Operations.Issue,
		Required:  facts.Root,
		WrongRoot: map[string]any{"api_key": "1:bm90IHRoZSBzZWNyZXQgb2YgYW55IGtleSBhdCBhbGw="},
		Role:      map[string]any{"role_id": 4},
		InvalidRoles: map[string]map[string]any{
			"role_id":   {},
			"role_name": {"role_id": 4, "role_name": "Deployment"},
			"locale":    {"role_id": 4, "locale": "de-DE"},
			"time_zone": {"role_id": 4, "time_zone": "New York"},
		},
		Use:            providertest.UseBy(facts),
		RateLimitPause: time.Minute,
		RotateRoute:    facts.Operations.RotateRoot,
		ListsAll:       true,
		Variants: []providertest.Variant{
			providertest.Switched("missing_api_version", "404"),
			providertest.Switched("bad_secret_status", "403"),
			providertest.Switched("failed_attempts_until_lockout", "1"),
			providertest.Switched("secret_form", "tenant"),
			providertest.Switched("retry_after", "present"),
			providertest.Switched("create_status", "201"),
			providertest.Switched("delete_status", "200"),
			providertest.Switched("duplicate_name", "409"),
			providertest.Switched("duplicate_name", "accept"),
			providertest.Switched("rights_for_create", "apikey"),
			providertest.Switched("rights_for_create", "administrator"),
			providertest.Switched("unknown_role_status", "404"),
			providertest.Switched("expiry_precision", "second"),
			providertest.Switched("expiry_in_answer", "no"),
			providertest.Switched("past_expiry", "accept"),
			providertest.Switched("cleared_expiry", "clear"),
			providertest.Switched("shortened_expiry", "accept"),
			providertest.Switched("extend_expired_key", "ignore"),
			providertest.Switched("expired_keys", "purged"),
			providertest.Switched("search_without_match", "null"),
			providertest.Switched("search_without_match", "missing"),
			providertest.Switched("search_case", "sensitive"),
			providertest.Switched("search_maximum", "1"),
		},
	}
}
