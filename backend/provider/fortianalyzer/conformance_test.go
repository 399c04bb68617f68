package fortianalyzer

import (
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	emulated "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// suiteIdleTimeout is the lifetime that the suite requests. The vendor has no call that chooses the lifetime of a
// session, so the tests set the idle timeout of instance and config to it.
const suiteIdleTimeout = 3 * time.Hour

// suiteProvider is the provider with suiteIdleTimeout in every config.
type suiteProvider struct{ driver }

// driver has the abilities of the vendor's provider.
type driver interface {
	provider.Provider
	provider.Prober
}

func (s suiteProvider) Open(config provider.Config) (provider.Connection, error) {
	fields := *config.Fields
	fields.Raw = maps.Clone(fields.Raw)
	fields.Raw[fieldIdleTimeout] = suiteIdleTimeout.String()
	config.Fields = &framework.FieldData{Raw: fields.Raw, Schema: fields.Schema}
	return s.driver.Open(config)
}

// rejectedAs returns a variant in which a rejected root credential has the given class.
func rejectedAs(class provider.Class, nameAndValue ...string) providertest.Variant {
	variant := providertest.Switched(nameAndValue...)
	variant.RefusedRoot = class
	return variant
}

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
func suite() providertest.Suite {
	facts := vendorfacts.Named("fortianalyzer")
	return providertest.Suite{
		New:       func() provider.Provider { return suiteProvider{New().(driver)} },
		Emulator:  emulatortest.WithDefaults(emulated.New(), "idle_timeout", suiteIdleTimeout.String()),
		Create:    facts.Operations.Issue,
		Login:     routeToken,
		Required:  facts.Root,
		WrongRoot: map[string]any{fieldPassword: "not-the-password-of-the-api-user"},
		Use:       providertest.UseBy(facts),
		Unlimited: map[string]string{"login_max": "0"},
		// A config with another password sends it, see TestAccount_AnotherPassword_IsSent.
		ChecksReuseLogin: true,
		Variants: []providertest.Variant{
			providertest.Switched("client_id_case", "ignored"),
			providertest.Switched("bad_credentials_status", "401"),
			providertest.Switched("bad_credentials_status", "200"),
			providertest.Switched("oauth_error_shape", "status"),
			providertest.Switched("oauth_error_shape", "plain"),
			// An answer with a success status that cannot be read is not a rejection.
			rejectedAs(provider.ClassUnavailable, "oauth_error_shape", "plain", "bad_credentials_status", "200"),
			providertest.Switched("oauth_form_body", "415"),
			providertest.Switched("missing_slash", "404"),
			providertest.Switched("token_expires_in", "14400"),
			providertest.Switched("token_expires_in", "60"),
			providertest.Switched("refresh_token", "keep"),
			providertest.Switched("refresh_token", "absent"),
			providertest.Switched("refresh_token_life", "1m"),
			providertest.Switched("revoke_ends_refresh_token", "yes"),
			providertest.Switched("lockout_threshold", "20"),
			providertest.Switched("single_active_token", "no"),
			providertest.Switched("login_failure_status", "403"),
			providertest.Switched("login_failure_status", "400"),
			providertest.Switched("login_failure_status", "200"),
			providertest.Switched("login_error_shape", "oauth"),
			providertest.Switched("login_error_shape", "oauth", "login_failure_status", "200"),
			providertest.Switched("login_error_shape", "empty_session"),
			providertest.Switched("login_error_shape", "empty_session", "login_failure_status", "200"),
			providertest.Switched("login_error_shape", "html"),
			providertest.Switched("login_error_shape", "html", "login_failure_status", "200"),
			providertest.Switched("permission_checked_at", "login"),
			providertest.Switched("at_login_max", "evict_oldest"),
			providertest.Switched("absolute_life", "24h"),
			providertest.Switched("failing_calls_refresh", "yes"),
			providertest.Switched("logout_needs_permission", "yes"),
			providertest.Switched("status_data", "absent"),
			providertest.Switched("settings_readable", "no"),
			providertest.Switched("portal_change_ends_sessions", "yes"),
		},
	}
}
