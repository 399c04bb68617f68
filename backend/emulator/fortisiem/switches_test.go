package fortisiem_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
)

func TestSuite(t *testing.T) {
	emulatortest.Suite[*appliance]{Vendor: fortisiem.New(), On: withRoot, Switches: switches}.Run(t)
}

// killedBy returns a probe of the effect of an action on a token.
func killedBy(action string) func(a *appliance) string {
	return func(a *appliance) string {
		token := a.token()
		a.Act(action)
		return strconv.Itoa(a.health("Bearer "+token).Status) + " " + a.EndReasons()[0]
	}
}

// refreshed sends the refresh grant after the interval between two token requests.
func refreshed(a *appliance, refresh string) answer {
	return a.later("grant_type", "refresh_token", "refresh_token", refresh)
}

var switches = emulatortest.SwitchCases[*appliance]{
	"expires_in_unit": {
		func(a *appliance) string { return fmt.Sprint(a.exchange().Body["expires_in"]) },
		map[string]string{"minutes": "15", "seconds": "900", "mismatch": "3600"},
	},
	"access_token_expiry": {
		func(a *appliance) string {
			a.Set("expires_in_unit", "seconds")
			return fmt.Sprint(a.exchange().Body["expires_in"])
		},
		map[string]string{"15m0s": "900", "1m": "60"},
	},
	"token_form": {
		func(a *appliance) string {
			token := a.token()
			if len(token) == 64 {
				return "64 digits"
			}
			_, expires := emulatortest.JWTClaims(a.T, token)["exp"]
			return strconv.FormatBool(expires)
		},
		map[string]string{"jwt": "true", "jwt_without_exp": "false", "opaque": "64 digits"},
	},
	"token_has_iat": {
		func(a *appliance) string {
			token := a.exchange().Member("access_token")
			issued, ok := emulatortest.JWTClaims(a.T, token)["iat"].(float64)
			if !ok {
				return ""
			}
			return time.Unix(int64(issued), 0).UTC().Format(time.TimeOnly)
		},
		map[string]string{"no": "", "yes": "03:04:05"},
	},
	"token_subject": {
		func(a *appliance) string {
			return fmt.Sprint(emulatortest.JWTClaims(a.T, a.token())["sub"] == a.id)
		},
		map[string]string{"client_id": "true", "owner": "false"},
	},
	"answer_names": {
		func(a *appliance) string {
			body := a.exchange().Body
			return fmt.Sprint(body["access_token"] != nil, body["expires_in"], body["token"] != nil, body["expiresIn"])
		},
		map[string]string{"documented": "true 900 false <nil>", "spare": "false <nil> true 15"},
	},
	"second_token": {
		func(a *appliance) string {
			token := a.token()
			a.token()
			return strconv.Itoa(a.health("Bearer "+token).Status) + " " + a.EndReasons()[0]
		},
		map[string]string{"coexists": "200 ", "replaces": "401 replaced"},
	},
	"single_issue": {
		func(a *appliance) string {
			a.token()
			second := a.later()
			return fmt.Sprintf("%d %v", second.Status, second.Body["message"])
		},
		map[string]string{"no": "200 <nil>", "yes": "400 Invalid input parameters"},
	},
	"refresh_grant": {
		func(a *appliance) string {
			refresh := a.Act("make_refresh_token")["refresh_token"]
			return strconv.Itoa(refreshed(a, refresh).Status) + " " + strconv.Itoa(refreshed(a, "wrong").Status)
		},
		map[string]string{"refused": "400 400", "accepted": "200 400"},
	},
	"refresh_token_rotates": {
		func(a *appliance) string {
			a.Set("refresh_grant", "accepted")
			refresh := a.Act("make_refresh_token")["refresh_token"]
			_, rotated := refreshed(a, refresh).Body["refresh_token"]
			return strconv.FormatBool(rotated) + " " + strconv.Itoa(refreshed(a, refresh).Status)
		},
		map[string]string{"no": "false 200", "yes": "true 400"},
	},
	"not_a_form_status": {
		emulatortest.StatusOf(func(a *appliance) answer {
			return a.do(http.MethodPost, tokenPath, "{}", "Content-Type", "application/json")
		}),
		map[string]string{"400": "400", "415": "415"},
	},
	"token_interval": {
		emulatortest.StatusOf(func(a *appliance) answer { a.exchange(); return a.exchange() }),
		map[string]string{"5s": "429", "0s": "200"},
	},
	"token_interval_from": {
		func(a *appliance) string {
			a.exchange()
			a.MoveClock(3 * time.Second)
			a.exchange()
			a.MoveClock(3 * time.Second)
			return strconv.Itoa(a.exchange().Status)
		},
		map[string]string{"any_request": "429", "admitted_request": "200"},
	},
	"failure_threshold": {
		func(a *appliance) string { a.later("client_secret", "wrong"); return strconv.Itoa(a.later().Status) },
		map[string]string{"5": "200", "1": "400", "0": "200"},
	},
	"failure_block": {
		func(a *appliance) string {
			a.Set("failure_threshold", "1")
			a.later("client_secret", "wrong")
			a.MoveClock(time.Minute)
			return strconv.Itoa(a.later().Status)
		},
		map[string]string{"5m0s": "400", "1m": "200"},
	},
	"early_answer": {
		func(a *appliance) string {
			a.exchange()
			a.MoveClock(2 * time.Second)
			early := a.exchange()
			return fmt.Sprint(early.Status, " ", early.Body["message"], " ", early.Header["Retry-After"])
		},
		map[string]string{
			"429": "429 Too many requests []", "429_retry_after": "429 Too many requests [5]",
			"400_empty": "400 <nil> []", "400_unknown": "400 Bad request []",
			"400_documented": "400 Rate limit exceeded. Limit is 1 token request per ClientId every 5 seconds []",
		},
	},
	"early_request_is_failure": {
		func(a *appliance) string {
			a.Set("failure_threshold", "1")
			a.exchange()
			a.exchange()
			return strconv.Itoa(a.later().Status)
		},
		map[string]string{"yes": "400", "no": "200"},
	},
	"revoking_kills_tokens": {
		killedBy("revoke_client"),
		map[string]string{"yes": "401 client_revoked", "no": "200 "},
	},
	"resetting_secret_kills_tokens": {
		killedBy("reset_secret"),
		map[string]string{"yes": "401 secret_reset", "no": "200 "},
	},
	"json_content_type": {
		func(a *appliance) string { return a.health("Bearer " + a.token()).Header.Get("Content-Type") },
		map[string]string{"application/json": "application/json", "text/plain": "text/plain;charset=UTF-8"},
	},
	"error_shape": {
		func(a *appliance) string {
			refused := a.exchange("client_secret", "wrong")
			return refused.Header.Get("Content-Type") + " " + refused.Text
		},
		map[string]string{
			"json":          `application/json {"error":"BAD_REQUEST","message":"Invalid ClientId or ClientSecret"}`,
			"plain_as_json": "application/json Invalid ClientId or ClientSecret",
		},
	},
	"unauthorized_body": {
		func(a *appliance) string { return a.health("Bearer wrong").Text },
		map[string]string{
			"json": `{"error":"UNAUTHORIZED","message":"Not authorized"}`, "plain": "Not authorized\n", "empty": "",
		},
	},
	"revoke_route": {
		emulatortest.StatusOf(func(a *appliance) answer {
			return a.do(http.MethodPost, revokePath, "token="+a.token(), "Content-Type", formType)
		}),
		map[string]string{"no": "404", "yes": "204"},
	},
	"revoke_unknown_status": {
		emulatortest.StatusOf(func(a *appliance) answer {
			a.Set("revoke_route", "yes")
			return a.do(http.MethodPost, revokePath, "token=wrong", "Content-Type", formType)
		}),
		map[string]string{"404": "404", "200": "200", "401": "401"},
	},
	"clock_skew": {
		func(a *appliance) string {
			got := a.exchange()
			exp := emulatortest.JWTClaims(a.T, got.Member("access_token"))["exp"].(float64)
			return got.Header.Get("Date") + " " + time.Unix(int64(exp), 0).UTC().Format(time.TimeOnly)
		},
		map[string]string{
			"0s":  "Wed, 02 Jan 2030 03:04:05 GMT 03:19:05",
			"-1h": "Wed, 02 Jan 2030 02:04:05 GMT 02:19:05",
		},
	},
}
