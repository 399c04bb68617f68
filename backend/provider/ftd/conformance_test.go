package ftd_test

import (
	"testing"

	ftdemulator "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
func suite() providertest.Suite {
	parentOwns := providertest.Switched("parent_revoke_kills_custom", "yes")
	parentOwns.LoginOwnsCredentials = true
	names := providertest.Switched("custom_token_session_name", "subject")
	names.ListsAll = true
	facts := vendorfacts.Named("ftd")
	suite := providertest.Suite{
		Defaults:    providertest.Variant{SeesLimit: true},
		New:         ftd.New,
		Emulator:    ftdemulator.New(),
		Create:      facts.Operations.Issue,
		Login:       facts.Operations.Login,
		Required:    facts.Root,
		WrongRoot:   map[string]any{"password": "not-the-password-of-admin"},
		Use:         providertest.UseBy(facts),
		Unlimited:   map[string]string{"session_limit": "0"},
		RotateRoute: facts.Operations.RotateRoot,
		Variants: []providertest.Variant{
			parentOwns,
			names,
			providertest.Switched("session_id_is_jti", "no"),
			providertest.Switched("session_delete_status", "200"),
			providertest.Switched("external_users", "absent"),
			providertest.Switched("local_identity_source", "LOCAL"),
			providertest.Switched("failed_attempts_status", "401"),
			providertest.Switched("ended_token_status", "408"),
			providertest.Switched("forbidden_status", "401"),
			providertest.Switched("session_scope", "user"),
			providertest.Switched("oldest_by", "refresh"),
			providertest.Switched("oldest_by", "use"),
			providertest.Switched("slot_held_until", "access"),
			providertest.Switched("custom_tokens_count", "no"),
			providertest.Switched("above_maximum", "clamp"),
			providertest.Switched("no_refresh_members", "null"),
			providertest.Switched("no_refresh_members", "empty"),
			providertest.Switched("password_grant_honours_desired", "yes"),
			providertest.Switched("failed_refresh_status", "401"),
			providertest.Switched("refresh_kills_old_access", "no"),
			providertest.Switched("used_refresh_token", "accept"),
			providertest.Switched("revoke_unknown_token", "ok"),
			providertest.Switched("revoke_unknown_subject", "ok"),
			providertest.Switched("revoke_subject", "all"),
			providertest.Switched("revoke_token", "token"),
			providertest.Switched("password_change_ends", "logins"),
			providertest.Switched("password_change_ends", "own_session"),
		},
	}
	for i := range suite.Variants {
		suite.Variants[i].SeesLimit = true // the device lists custom tokens
	}
	suite.Variants = append(suite.Variants, providertest.Switched("custom_tokens_in_sessions", "no"))
	return suite
}
