package fortisiem_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestOpen_InvalidField_IsNamedAndNotQuoted(t *testing.T) {
	a := newAppliance(t)
	for name, c := range map[string]struct {
		field   string
		changes map[string]any
	}{
		"no client id":                            {"client_id", map[string]any{"client_id": ""}},
		"line break in the id":                    {"client_id", map[string]any{"client_id": "hunter2\n"}},
		"no client secret":                        {"client_secret", map[string]any{"client_secret": ""}},
		"line break in the secret":                {"client_secret", map[string]any{"client_secret": "hunter2\n"}},
		"relative token path":                     {"token_path", map[string]any{"token_path": "oauth/token"}},
		"token path with a query":                 {"token_path", map[string]any{"token_path": "/token?hunter2"}},
		"token path with dots":                    {"token_path", map[string]any{"token_path": "/a/../token"}},
		"verify path with a space":                {"verify_path", map[string]any{"verify_path": "/health summary"}},
		"unknown grant":                           {"grant", map[string]any{"grant": "password"}},
		"no refresh token":                        {"refresh_token", map[string]any{"grant": "refresh_token"}},
		"unused refresh token":                    {"refresh_token", map[string]any{"refresh_token": "hunter2"}},
		"unknown unit":                            {"expires_in_unit", map[string]any{"expires_in_unit": "hours"}},
		"unused revocation body":                  {"revoke_body", map[string]any{"revoke_body": "token={{token}}"}},
		"revocation URL: a path":                  {"revoke_url", map[string]any{"revoke_url": "/revoke"}},
		"revocation URL: http":                    {"revoke_url", map[string]any{"revoke_url": "http://hunter2.example/revoke"}},
		"revocation URL: userinfo":                {"revoke_url", map[string]any{"revoke_url": "https://a:hunter2@siem.example/revoke"}},
		"revocation URL: query":                   {"revoke_url", map[string]any{"revoke_url": "https://siem.example/revoke?x=hunter2"}},
		"revocation method":                       {"revoke_method", map[string]any{"revoke_url": "https://siem.example/", "revoke_method": "GET"}},
		"body with broken JSON":                   {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": `{"token":`}},
		"body with a broken form":                 {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": "a=%zz"}},
		"body with a name twice":                  {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": `[{"a":{"hunter2":1,"hunter2":2}}]`}},
		"placeholder in a member":                 {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": `{"a":[1,{"{{token}}":1}]}`}},
		"placeholder in a form":                   {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": "{{token}}"}},
		"body with the root secret":               {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": "s={{client_secret}}"}},
		"body with a second, unknown placeholder": {"revoke_body", map[string]any{"revoke_url": "https://siem.example/", "revoke_body": "t={{token}}&s={{hunter2}}"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := a.tryOpen(c.changes)
			failure := refusal(t, err)
			require.Equal(t, provider.ClassInvalid, failure.Class)
			require.Equal(t, c.field, failure.Field)
			require.NotContains(t, failure.Error(), "hunter2")
		})
	}
}
