package ftd_test

import (
	"context"
	"net/http"
	"testing"

	ftdemulator "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
func suite() providertest.Suite {
	parentOwns := providertest.Switched("parent_revoke_kills_custom", "yes")
	parentOwns.LoginOwnsCredentials = true
	lists := providertest.Switched("custom_tokens_in_sessions", "yes")
	lists.SeesLimit = true
	names := providertest.Switched("custom_tokens_in_sessions", "yes")
	names.Name, names.SeesLimit, names.ListsAll = "custom_tokens_in_sessions yes, by subject", true, true
	names.Switches["custom_token_session_name"] = "subject"
	return providertest.Suite{
		New:         ftd.New,
		Twin:        ftdemulator.New(),
		Create:      "custom_token",
		Login:       "password",
		Required:    []string{"username", "password"},
		WrongRoot:   map[string]any{"password": "not-the-password-of-admin"},
		Use:         use,
		Unlimited:   map[string]string{"session_limit": "0"},
		RotateRoute: "PUT */object/users/*",
		Variants: []providertest.Variant{
			parentOwns,
			lists,
			names,
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
}

// use reads the networks with the credential, as an application would.
func use(ctx context.Context, client *http.Client, credential *provider.Credential) (bool, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, credential.Address+"/object/networks", nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Authorization", credential.TokenType+" "+credential.Token)
	answer, err := client.Do(request)
	if err != nil {
		return false, err
	}
	return answer.StatusCode == http.StatusOK, answer.Body.Close()
}
