package ftd_test

import (
	"context"
	"net/http"
	"testing"

	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

func switched(name, value string) providertest.Variant {
	return providertest.Variant{Name: name + " " + value, Switches: map[string]string{name: value}}
}

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
func suite() providertest.Suite {
	parentOwns := switched("parent_revoke_kills_custom", "yes")
	parentOwns.LoginOwnsCredentials = true
	lists := switched("custom_tokens_in_sessions", "yes")
	lists.SeesLimit = true
	names := switched("custom_tokens_in_sessions", "yes")
	names.Name, names.SeesLimit, names.FindsAll = "custom_tokens_in_sessions yes, by subject", true, true
	names.Switches["custom_token_session_name"] = "subject"
	return providertest.Suite{
		New:         ftd.New,
		Twin:        twin.New(),
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
			switched("ended_token_status", "408"),
			switched("forbidden_status", "401"),
			switched("session_scope", "user"),
			switched("oldest_by", "refresh"),
			switched("oldest_by", "use"),
			switched("slot_held_until", "access"),
			switched("custom_tokens_count", "no"),
			switched("above_maximum", "clamp"),
			switched("no_refresh_members", "null"),
			switched("no_refresh_members", "empty"),
			switched("password_grant_honours_desired", "yes"),
			switched("failed_refresh_status", "401"),
			switched("refresh_kills_old_access", "no"),
			switched("used_refresh_token", "accept"),
			switched("revoke_unknown_token", "ok"),
			switched("revoke_unknown_subject", "ok"),
			switched("revoke_subject", "all"),
			switched("revoke_token", "token"),
			switched("password_change_ends", "logins"),
			switched("password_change_ends", "own_session"),
		},
	}
}

// use reads the users, as an application would read anything.
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
