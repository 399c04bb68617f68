package fortianalyzer_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// switchCase proves a switch: probe is done on a fresh instance with each value, and gives what is wanted.
type switchCase struct {
	probe func(c *cloud) string
	want  map[string]string
}

// statusOf makes a probe of a request's status.
func statusOf(request func(c *cloud) answer) func(c *cloud) string {
	return func(c *cloud) string { return strconv.Itoa(request(c).status) }
}

// codeOf makes a probe of a call's code.
func codeOf(call func(c *cloud) int) func(c *cloud) string {
	return func(c *cloud) string { return strconv.Itoa(call(c)) }
}

// forbid takes the user's permissions.
func forbid(c *cloud) { c.act("set_permission", map[string]string{"permission": "no"}) }

// switchCases has a case for every switch of the vendor.
var switchCases = map[string]switchCase{
	"oauth_form_body": {
		statusOf(func(c *cloud) answer {
			return c.do(http.MethodPost, c.srv.AuthURL("fortianalyzer")+"/api/v1/oauth/token/",
				"grant_type=password&client_id=FortiAnalyzer&username="+c.username+"&password="+c.password,
				"Content-Type", "application/x-www-form-urlencoded")
		}),
		map[string]string{"415": "415", "400": "400", "accept": "200"},
	},
	"client_id_case": {
		statusOf(func(c *cloud) answer { c.client = "fortianalyzer"; return c.grant() }),
		map[string]string{"exact": "401", "ignored": "200"},
	},
	"bad_credentials_status": {
		statusOf(func(c *cloud) answer { c.password = "wrong"; return c.grant() }),
		map[string]string{"401": "401", "400": "400", "200": "200"},
	},
	"oauth_error_shape": {
		func(c *cloud) string { c.password = "wrong"; return c.grant().text },
		map[string]string{
			"status": `{"message":"invalid credentials given","status":"error"}`,
			"oauth":  `{"error":"invalid_grant","error_description":"invalid credentials given"}`,
			"plain":  "invalid credentials given\n",
		},
	},
	"token_expires_in": {
		func(c *cloud) string {
			token := c.grant()
			c.advance(2 * time.Hour)
			return fmt.Sprint(token.body["expires_in"], c.verify(c.text(token, "access_token")).status)
		},
		map[string]string{"3600": "3600 401", "14400": "14400 200"},
	},
	"single_active_token": {
		func(c *cloud) string {
			first := c.text(c.grant(), "access_token")
			c.grant()
			return strconv.Itoa(c.login(first).status)
		},
		map[string]string{"yes": "401", "no": "200"},
	},
	"refresh_token": {
		func(c *cloud) string {
			first := c.text(c.grant(), "refresh_token")
			second, _ := c.refresh(first).body["refresh_token"].(string)
			kind := "another"
			switch second {
			case first:
				kind = "same"
			case "":
				kind = "none"
			}
			return kind + " " + strconv.Itoa(c.refresh(first).status)
		},
		map[string]string{"rotate": "another 401", "keep": "same 200", "absent": "none 200"},
	},
	"refresh_token_life": {
		statusOf(func(c *cloud) answer {
			token := c.text(c.grant(), "refresh_token")
			c.advance(time.Hour)
			return c.refresh(token)
		}),
		map[string]string{"0s": "200", "1h": "401"},
	},
	"revoke_ends_refresh_token": {
		statusOf(func(c *cloud) answer {
			granted := c.grant()
			c.revoke(c.text(granted, "access_token"))
			return c.refresh(c.text(granted, "refresh_token"))
		}),
		map[string]string{"no": "200", "yes": "401"},
	},
	"product": {
		func(c *cloud) string {
			c.set("single_active_token", "no")
			analyzer := c.login(c.text(c.grant(), "access_token")).status
			c.client = "FortiManager"
			return fmt.Sprint(analyzer, c.login(c.text(c.grant(), "access_token")).status)
		},
		map[string]string{"FortiAnalyzer": "200 401", "FortiManager": "401 200"},
	},
	"login_failure_status": {
		statusOf(func(c *cloud) answer { return c.login("unknown") }),
		map[string]string{"401": "401", "403": "403", "400": "400", "200": "200"},
	},
	"login_error_shape": {
		func(c *cloud) string { return c.login("unknown").text },
		map[string]string{
			"status":        `{"status":{"code":401,"message":"Access token is invalid or expired"}}`,
			"oauth":         `{"error":"invalid_token","error_description":"Access token is invalid or expired"}`,
			"empty_session": `{"session":null}`,
			"html":          "<!DOCTYPE html><html><body>Access token is invalid or expired</body></html>",
		},
	},
	"permission_checked_at": {
		func(c *cloud) string {
			forbid(c)
			logged := c.login(c.text(c.grant(), "access_token"))
			if logged.status != 200 {
				return strconv.Itoa(logged.status)
			}
			return strconv.Itoa(c.status(c.text(logged, "session")))
		},
		map[string]string{"call": "-11", "login": "401"},
	},
	"login_max": {
		statusOf(func(c *cloud) answer { c.session(); return c.login(c.text(c.grant(), "access_token")) }),
		map[string]string{"20": "200", "1": "401", "2": "200", "0": "200"},
	},
	"at_login_max": {
		func(c *cloud) string {
			c.set("login_max", "1")
			c.session()
			return strconv.Itoa(c.login(c.text(c.grant(), "access_token")).status) + fmt.Sprint(c.ends(emulator.KindLeased))
		},
		map[string]string{"refuse": "401[]", "evict_oldest": "200[evicted ]"},
	},
	"idle_timeout": {
		codeOf(func(c *cloud) int { session := c.session(); c.advance(15 * time.Minute); return c.status(session) }),
		map[string]string{"15m0s": "-11", "16m": "0"},
	},
	"absolute_life": {
		codeOf(func(c *cloud) int {
			session := c.session()
			for range 4 {
				c.status(session)
				c.advance(10 * time.Minute)
			}
			return c.status(session)
		}),
		map[string]string{"0s": "0", "30m": "-11", "1h": "0"},
	},
	"failing_calls_refresh": {
		codeOf(func(c *cloud) int {
			session := c.session()
			c.advance(10 * time.Minute)
			c.call(session, "get", "/unknown")
			c.advance(10 * time.Minute)
			return c.status(session)
		}),
		map[string]string{"no": "-11", "yes": "0"},
	},
	"logout_needs_permission": {
		codeOf(func(c *cloud) int { session := c.session(); forbid(c); return c.logout(session) }),
		map[string]string{"no": "0", "yes": "-11"},
	},
	"status_data": {
		func(c *cloud) string {
			answered := c.do(http.MethodPost, c.srv.URL("fortianalyzer")+"/jsonrpc",
				`{"method":"get","params":[{"url":"/sys/status"}],"session":"`+c.session()+`"}`)
			_, present := answered.body["result"].([]any)[0].(map[string]any)["data"]
			return strconv.FormatBool(present)
		},
		map[string]string{"present": "true", "absent": "false"},
	},
	"settings_readable": {
		codeOf(func(c *cloud) int { return c.call(c.session(), "get", "/cli/global/system/admin/setting") }),
		map[string]string{"yes": "0", "no": "-11"},
	},
	"portal_change_ends_sessions": {
		func(c *cloud) string {
			c.session()
			c.act("download_credentials", nil)
			return fmt.Sprint(c.ends(emulator.KindLeased))
		},
		map[string]string{"no": "[]", "yes": "[password_changed]"},
	},
	"clock_skew": {
		func(c *cloud) string { return c.grant().header.Get("Date") },
		map[string]string{"0s": "Wed, 02 Jan 2030 03:04:05 GMT", "-1h": "Wed, 02 Jan 2030 02:04:05 GMT"},
	},
}

func TestSwitches_EveryValueHasItsEffect(t *testing.T) {
	for _, s := range newCloud(t).srv.Switches("fortianalyzer") {
		t.Run(s.Name, func(t *testing.T) {
			c, ok := switchCases[s.Name]
			require.True(t, ok, "no case for the switch")
			require.Contains(t, c.want, s.Default)
			require.Greater(t, len(c.want), 1)
			if s.Kind == emulator.KindChoice {
				require.Len(t, c.want, len(s.Allowed))
			}
			for value, want := range c.want {
				instance := newCloud(t)
				instance.set(s.Name, value)
				require.Equal(t, want, c.probe(instance), "value %s", value)
			}
		})
	}
}
