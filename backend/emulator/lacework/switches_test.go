package lacework_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/lacework"
)

func TestSuite(t *testing.T) {
	emulatortest.Suite[*account]{Vendor: lacework.New(), On: withRoot, Switches: switches}.Run(t)
}

var switches = emulatortest.SwitchCases[*account]{
	"above_maximum": {
		func(a *account) string {
			issued := a.issueToken(`,"expiryTime":90000`)
			if issued.Status != 201 {
				return strconv.Itoa(issued.Status)
			}
			return issued.Member("expiresAt")
		},
		map[string]string{"reject": "400", "clamp": "2030-01-03T03:04:05.678Z"},
	},
	"minimum_expiry": {
		emulatortest.StatusOf(func(a *account) answer { return a.issueToken(`,"expiryTime":59`) }),
		map[string]string{"1": "201", "60": "400"},
	},
	"strict_openapi": {
		emulatortest.StatusOf(func(a *account) answer { return a.issueToken("") }),
		map[string]string{"no": "201", "yes": "400"},
	},
	"require_json_content_type": {
		emulatortest.StatusOf(func(a *account) answer {
			return a.do(http.MethodPost, "/api/v2/access/tokens", `{"keyId":"`+a.key+`","expiryTime":60}`,
				"X-LW-UAKS", a.secret, "Content-Type", "text/plain")
		}),
		map[string]string{"yes": "400", "no": "201"},
	},
	"success_status": {
		emulatortest.StatusOf(func(a *account) answer { return a.issueToken("") }),
		map[string]string{"201": "201", "200": "200"},
	},
	"wrong_key_status": {
		emulatortest.StatusOf(func(a *account) answer { a.secret = "wrong"; return a.issueToken("") }),
		map[string]string{"401": "401", "403": "403", "400": "400"},
	},
	"disabled_key_status": {
		emulatortest.StatusOf(func(a *account) answer { a.Act("disable_key"); return a.issueToken("") }),
		map[string]string{"401": "401", "403": "403"},
	},
	"disabling_key_kills_tokens": {
		func(a *account) string {
			token := a.token()
			a.Act("disable_key")
			return strconv.Itoa(a.profile(token).Status) + " " + a.EndReasons()[0]
		},
		map[string]string{"no": "200 ", "yes": "403 key_disabled"},
	},
	"bad_token_status": {
		emulatortest.StatusOf(func(a *account) answer { return a.profile("Bearer wrong") }),
		map[string]string{"401": "401", "403": "403"},
	},
	"unknown_path": {
		func(a *account) string {
			refused := a.do(http.MethodGet, "/api/v2/Elsewhere", "", "Authorization", a.token())
			return strconv.Itoa(refused.Status) + " " + refused.Member("message")
		},
		map[string]string{"403": "403 Unrecognized url", "404": "404 Not Found"},
	},
	"unknown_member": {
		func(a *account) string {
			answer := a.issueToken(`,"expiryTime":60,"expiry":60`)
			message, _ := answer.Body["message"].(string)
			return strconv.Itoa(answer.Status) + " " + message
		},
		map[string]string{"reject": "400 key expiry is unrecognized", "ignore": "201 "},
	},
	"org_account": {
		func(a *account) string {
			token, shown := a.token(), ""
			for _, organisation := range []string{"false", "true"} {
				profile := a.profile(token, "Org-Access", organisation).Body["data"].([]any)[0].(map[string]any)
				shown += strconv.FormatBool(profile["orgAccount"].(bool)) + " "
			}
			return shown
		},
		map[string]string{"no": "false false ", "yes": "true true ", "header": "false true "},
	},
	"service_user_scope_status": {
		emulatortest.StatusOf(func(a *account) answer {
			made := a.Act("create_key", "user", "service")
			a.key, a.secret = made["key_id"], made["secret_key"]
			return a.profile(a.token(), "Org-Access", "true")
		}),
		map[string]string{"403": "403", "401": "401"},
	},
	"token_form": {
		func(a *account) string { return strconv.Itoa(strings.Count(a.token(), ".")) },
		map[string]string{"opaque": "0", "jwt": "2"},
	},
	"tokens_per_key": {
		emulatortest.StatusOf(func(a *account) answer { a.token(); return a.issueToken("") }),
		map[string]string{"0": "201", "1": "403", "2": "201"},
	},
	"rate_limit": {
		emulatortest.StatusOf(func(a *account) answer { a.issueToken(""); return a.issueToken("") }),
		map[string]string{"480": "201", "1": "429", "0": "429"},
	},
	"rate_limit_reset": {
		func(a *account) string {
			a.Set("rate_limit", "2")
			a.issueToken("")
			a.issueToken("")
			return a.issueToken("").Header.Get("RateLimit-Reset")
		},
		map[string]string{"full": "3600", "next": "1800"},
	},
	"retry_after": {
		func(a *account) string {
			a.Set("rate_limit", "0")
			return a.issueToken("").Header.Get("Retry-After")
		},
		map[string]string{"absent": "", "present": "3600"},
	},
	"error_shape": {
		func(a *account) string { return a.profile("Bearer wrong").Text },
		map[string]string{
			"message": `{"message":"Unauthorized"}`,
			"legacy":  `{"data":{"message":"Unauthorized"},"message":"FAILED","ok":false}`,
			"plain":   "Unauthorized\n",
		},
	},
	"user_profile": {
		emulatortest.StatusOf(func(a *account) answer { return a.profile(a.token()) }),
		map[string]string{"data": "200", "no_content": "204"},
	},
	"clock_skew": {
		func(a *account) string {
			issued := a.issueToken(`,"expiryTime":60`)
			return issued.Header.Get("Date") + " " + issued.Member("expiresAt")
		},
		map[string]string{
			"0s":  "Wed, 02 Jan 2030 03:04:05 GMT 2030-01-02T03:05:05.678Z",
			"-1h": "Wed, 02 Jan 2030 02:04:05 GMT 2030-01-02T02:05:05.678Z",
		},
	},
}
