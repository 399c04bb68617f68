package lacework_test

import (
	"testing"

	emulated "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/lacework"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
func suite() providertest.Suite {
	// rejectedAs returns a variant in which a rejected root credential has the given class.
	rejectedAs := func(variant providertest.Variant, class provider.Class) providertest.Variant {
		variant.RefusedRoot = class
		return variant
	}
	facts := vendorfacts.Named("lacework")
	return providertest.Suite{
		New:       lacework.New,
		Emulator:  emulated.New(),
		Create:    facts.Operations.Issue,
		Required:  facts.Root,
		WrongRoot: map[string]any{"secret_key": "_not-the-secret-of-this-key"},
		Role:      map[string]any{"subaccount": "emea"},
		InvalidRoles: map[string]map[string]any{
			"subaccount": {"subaccount": "emea", "org_access": true},
			"org_access": {"org_access": "perhaps"},
		},
		Use: providertest.UseBy(facts),
		Variants: []providertest.Variant{
			providertest.Switched("above_maximum", "clamp"),
			providertest.Switched("minimum_expiry", "300"),
			providertest.Switched("strict_openapi", "yes"),
			providertest.Switched("success_status", "200"),
			rejectedAs(providertest.Switched("wrong_key_status", "403"), provider.ClassForbidden),
			rejectedAs(providertest.Switched("wrong_key_status", "400"), provider.ClassInvalid),
			providertest.Switched("bad_token_status", "401"),
			providertest.Switched("token_form", "jwt"),
			providertest.Switched("rate_limit_reset", "full"),
			providertest.Switched("retry_after", "present"),
			providertest.Switched("error_shape", "legacy"),
			providertest.Switched("error_shape", "plain"),
			providertest.Switched("user_profile", "no_content"),
		},
	}
}
