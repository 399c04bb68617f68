package fortianalyzer_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
)

func TestSuite(t *testing.T) {
	emulatortest.Suite[*cloud]{Vendor: fortianalyzer.New(), On: withRoot, Switches: switches}.Run(t)
}

// codeOf returns a probe of a call's code.
func codeOf(call func(c *cloud) int) func(c *cloud) string {
	return func(c *cloud) string { return strconv.Itoa(call(c)) }
}

// forbid removes the user's permissions.
func forbid(c *cloud) {
	c.Act("set_permission", "permission", "no")
}

var switches = emulatortest.SwitchCases[*cloud]{
	"oauth_form_body": {
		func(c *cloud) string {
			const form = "application/x-www-form-urlencoded"
			grant := c.do(http.MethodPost, c.AuthAddress()+"/api/v1/oauth/token/",
				"grant_type=password&client_id=FortiAnalyzer&username="+c.username+"&password="+c.password, "Content-Type", form)
			labelled := c.do(http.MethodPost, c.AuthAddress()+"/api/v1/oauth/token/",
				map[string]string{"username": c.username, "password": c.password, "client_id": c.client, "grant_type": "password"}, "Content-Type", form)
			revoked := c.do(http.MethodPost, c.AuthAddress()+"/api/v1/oauth/revoke_token/", "client_id=FortiAnalyzer&token=x", "Content-Type", form)
			return fmt.Sprint(grant.Status, labelled.Status, revoked.Status)
		},
		map[string]string{"accept": "200 200 415", "415": "415 415 415", "400": "400 400 400"},
	},
	"client_id_case": {
		emulatortest.StatusOf(func(c *cloud) answer { c.client = "fortianalyzer"; return c.grant() }),
		map[string]string{"exact": "401", "ignored": "200"},
	},
	"missing_slash": {
		func(c *cloud) string {
			client := *c.Client
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			request, err := http.NewRequestWithContext(c.T.Context(), http.MethodPost, c.AuthAddress()+"/api/v1/oauth/token", nil)
			require.NoError(c.T, err)
			answered, err := client.Do(request)
			require.NoError(c.T, err)
			require.NoError(c.T, answered.Body.Close())
			return strconv.Itoa(answered.StatusCode) + answered.Header.Get("Location")
		},
		map[string]string{"301": "301/api/v1/oauth/token/", "404": "404"},
	},
	"lockout_threshold": {
		func(c *cloud) string {
			for range 60 {
				c.grant()
			}
			return strconv.Itoa(c.grant().Status)
		},
		map[string]string{"60": "400", "0": "200", "100": "200"},
	},
	"lockout_duration": {
		func(c *cloud) string {
			c.Act("lock_account")
			c.MoveClock(20 * time.Minute)
			return strconv.Itoa(c.grant().Status)
		},
		map[string]string{"30m0s": "400", "15m": "200"},
	},
	"lockout_counts": {
		func(c *cloud) string {
			c.Set("lockout_threshold", "3")
			refresh := c.grant().Member("refresh_token")
			for range 3 {
				answered, _ := c.refresh(refresh).Body["refresh_token"].(string)
				refresh = answered
			}
			afterRefresh := c.grant().Status
			for range 2 {
				c.grant()
			}
			return fmt.Sprint(afterRefresh, c.grant().Status)
		},
		map[string]string{"password": "200 400", "refused": "200 200", "all": "400 400"},
	},
	"rate_limit_per_minute": {
		func(c *cloud) string {
			for range 3 {
				c.grant()
			}
			limited := c.grant().Status
			c.MoveClock(time.Minute)
			return fmt.Sprint(limited, c.grant().Status)
		},
		map[string]string{"0": "200 200", "3": "429 200"},
	},
	"rate_limit_retry_after": {
		func(c *cloud) string {
			c.Set("rate_limit_per_minute", "1")
			c.grant()
			c.MoveClock(15 * time.Second)
			return c.grant().Header.Get("Retry-After")
		},
		map[string]string{"yes": "45", "no": ""},
	},
	"bad_credentials_status": {
		emulatortest.StatusOf(func(c *cloud) answer { c.password = "wrong"; return c.grant() }),
		map[string]string{"401": "401", "400": "400", "200": "200"},
	},
	"oauth_error_shape": {
		func(c *cloud) string { c.password = "wrong"; return c.grant().Text },
		map[string]string{
			"status": `{"message":"invalid credentials given","status":"error"}`,
			"oauth":  `{"error":"invalid_grant","error_description":"invalid credentials given"}`,
			"plain":  "invalid credentials given\n",
		},
	},
	"token_expires_in": {
		func(c *cloud) string {
			token := c.grant()
			c.MoveClock(2 * time.Hour)
			return fmt.Sprint(token.Body["expires_in"], c.verify(token.Member("access_token")).Status)
		},
		map[string]string{"3660": "3660 401", "3600": "3600 401", "14400": "14400 200"},
	},
	"single_active_token": {
		func(c *cloud) string {
			first := c.token()
			c.grant()
			return strconv.Itoa(c.login(first).Status)
		},
		map[string]string{"yes": "401", "no": "200"},
	},
	"refresh_token": {
		func(c *cloud) string {
			first := c.grant().Member("refresh_token")
			second, _ := c.refresh(first).Body["refresh_token"].(string)
			kind := "another"
			switch second {
			case first:
				kind = "same"
			case "":
				kind = "none"
			}
			return kind + " " + strconv.Itoa(c.refresh(first).Status)
		},
		map[string]string{"rotate": "another 400", "keep": "same 200", "absent": "none 200"},
	},
	"refresh_token_life": {
		emulatortest.StatusOf(func(c *cloud) answer {
			token := c.grant().Member("refresh_token")
			c.MoveClock(time.Hour)
			return c.refresh(token)
		}),
		map[string]string{"0s": "200", "1h": "400"},
	},
	"revoke_ends_refresh_token": {
		emulatortest.StatusOf(func(c *cloud) answer {
			granted := c.grant()
			c.revoke(granted.Member("access_token"))
			return c.refresh(granted.Member("refresh_token"))
		}),
		map[string]string{"no": "200", "yes": "400"},
	},
	"product": {
		func(c *cloud) string {
			c.Set("single_active_token", "no")
			analyzer := c.login(c.token()).Status
			c.client = "FortiManager"
			return fmt.Sprint(analyzer, c.login(c.token()).Status)
		},
		map[string]string{"FortiAnalyzer": "200 401", "FortiManager": "401 200"},
	},
	"login_failure_status": {
		emulatortest.StatusOf(func(c *cloud) answer { return c.login("unknown") }),
		map[string]string{"401": "401", "403": "403", "400": "400", "200": "200"},
	},
	"login_error_shape": {
		func(c *cloud) string { return c.login("unknown").Text },
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
			logged := c.login(c.token())
			if logged.Status != 200 {
				return strconv.Itoa(logged.Status)
			}
			return strconv.Itoa(c.status(logged.Member("session")))
		},
		map[string]string{"call": "-11", "login": "401"},
	},
	"login_max": {
		emulatortest.StatusOf(func(c *cloud) answer { c.session(); return c.login(c.token()) }),
		map[string]string{"20": "200", "1": "401", "2": "200", "0": "200"},
	},
	"at_login_max": {
		func(c *cloud) string {
			c.Set("login_max", "1")
			c.session()
			return strconv.Itoa(c.login(c.token()).Status) + fmt.Sprint(c.EndReasons(emulator.KindLeased))
		},
		map[string]string{"refuse": "401[]", "evict_oldest": "200[evicted ]"},
	},
	"idle_timeout": {
		codeOf(func(c *cloud) int { session := c.session(); c.MoveClock(15 * time.Minute); return c.status(session) }),
		map[string]string{"15m0s": "-11", "16m": "0"},
	},
	"absolute_life": {
		codeOf(func(c *cloud) int {
			session := c.session()
			for range 4 {
				c.status(session)
				c.MoveClock(10 * time.Minute)
			}
			return c.status(session)
		}),
		map[string]string{"0s": "0", "30m": "-11", "1h": "0"},
	},
	"failing_calls_refresh": {
		codeOf(func(c *cloud) int {
			session := c.session()
			c.MoveClock(10 * time.Minute)
			c.call(session, "get", "/unknown")
			c.MoveClock(10 * time.Minute)
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
			answered := c.do(http.MethodPost, c.Address()+"/jsonrpc",
				`{"method":"get","params":[{"url":"/sys/status"}],"session":"`+c.session()+`"}`)
			_, present := answered.Body["result"].([]any)[0].(map[string]any)["data"]
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
			c.Act("download_credentials")
			return fmt.Sprint(c.EndReasons(emulator.KindLeased))
		},
		map[string]string{"no": "[]", "yes": "[password_changed]"},
	},
	"clock_skew": {
		func(c *cloud) string { return c.grant().Header.Get("Date") },
		map[string]string{"0s": "Wed, 02 Jan 2030 03:04:05 GMT", "-1h": "Wed, 02 Jan 2030 02:04:05 GMT"},
	},
}
