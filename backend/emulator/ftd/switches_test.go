package ftd_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// switchCase proves a switch: probe is done on a fresh device with each value, and gives what is wanted.
type switchCase struct {
	probe func(d *device) string
	want  map[string]string
}

// statusOfCustom makes a probe of what a custom token request with changed members is answered.
func statusOfCustom(changes object) func(d *device) string {
	return func(d *device) string { return strconv.Itoa(d.custom(d.login().access(d.t), "s", changes).status) }
}

// endingsAfter makes a probe of what has ended after some steps.
func endingsAfter(steps func(d *device)) func(d *device) string {
	return func(d *device) string {
		steps(d)
		return strings.Join(d.endings(), ",")
	}
}

// switchCases has a case for every switch of the vendor.
var switchCases = map[string]switchCase{
	"device_state": {
		func(d *device) string {
			login := d.login()
			token, _ := login.body["access_token"].(string)
			if token == "" { // booting: the state was there before the login
				return fmt.Sprint(login.status)
			}
			return fmt.Sprint(login.status, d.works(token), d.do(http.MethodGet, "/api/versions", "", nil).status)
		},
		map[string]string{
			"ready": "200 200 200", "booting": "503", "setup_wizard": "200 403 200", "busy": "200 423 200",
		},
	},
	"ha_role": {
		func(d *device) string { return strconv.Itoa(d.change(d.login().access(d.t), nil).status) },
		map[string]string{"active": "200", "standby": "422"},
	},
	"method_not_allowed_status": {
		func(d *device) string {
			return strconv.Itoa(d.do(http.MethodGet, "/api/fdm/latest/fdm/token", "", nil).status)
		},
		map[string]string{"405": "405", "404": "404"},
	},
	"ended_token_status": {
		func(d *device) string {
			login := d.login().access(d.t)
			d.revoke(login, "token_to_revoke", login)
			return strconv.Itoa(d.works(login))
		},
		map[string]string{"401": "401", "408": "408"},
	},
	"forbidden_status": {
		func(d *device) string {
			user := d.act("add_external_user", map[string]string{"name": "x", "role": "ro"})
			login := d.grant("password", object{"username": "x", "password": user["password"]}).access(d.t)
			return strconv.Itoa(d.get(login, "/action/activeusersessions").status)
		},
		map[string]string{"403": "403", "401": "401"},
	},
	"session_limit": {
		endingsAfter(func(d *device) {
			for range 6 {
				d.login()
			}
		}),
		map[string]string{"5": "evicted,,,,,", "2": "evicted,evicted,evicted,evicted,,", "0": ",,,,,"},
	},
	"session_scope": {
		endingsAfter(func(d *device) {
			d.set("session_limit", "1")
			user := d.act("add_external_user", map[string]string{"name": "x", "role": "ro"})
			d.login()
			d.grant("password", object{"username": "x", "password": user["password"]})
		}),
		map[string]string{"device": "evicted,", "user": ","},
	},
	"oldest_by": {
		endingsAfter(func(d *device) {
			d.set("session_limit", "3")
			first, second := d.login(), d.login()
			d.login()
			d.advance(time.Second)
			first = d.grant("refresh_token", object{"refresh_token": first.body["refresh_token"]})
			d.advance(time.Second)
			d.works(second.access(d.t))
			d.login()
		}),
		// The first was refreshed, the second used; by use or by refresh other sessions are older.
		map[string]string{"issue": "evicted,,,", "refresh": ",evicted,,", "use": ",,evicted,"},
	},
	"slot_held_until": {
		endingsAfter(func(d *device) {
			d.set("session_limit", "1")
			first := d.login()
			d.advance(1900 * time.Second) // between the ends of access and refresh token
			d.login()
			d.grant("refresh_token", object{"refresh_token": first.body["refresh_token"]})
		}),
		map[string]string{"refresh": "evicted,", "access": ",evicted"},
	},
	"custom_tokens_count": {
		endingsAfter(func(d *device) {
			d.set("session_limit", "1")
			d.custom(d.login().access(d.t), "s", nil)
		}),
		map[string]string{"yes": "evicted,", "no": ","},
	},
	"minimum_expires_in": {
		statusOfCustom(object{"desired_expires_in": 59}),
		map[string]string{"1": "200", "60": "400"},
	},
	"missing_expires_in": {
		func(d *device) string {
			leased := d.custom(d.login().access(d.t), "s", object{"desired_expires_in": nil})
			return fmt.Sprint(leased.status, leased.body["expires_in"])
		},
		map[string]string{"reject": "400 <nil>", "default": "200 1800"},
	},
	"above_maximum": {
		func(d *device) string {
			leased := d.custom(d.login().access(d.t), "s", object{"desired_expires_in": 40_000_000})
			if leased.status != 200 {
				return strconv.Itoa(leased.status)
			}
			return fmt.Sprintf("%.0f", leased.body["expires_in"])
		},
		map[string]string{"reject": "400", "clamp": "31536000"},
	},
	"refresh_not_longer_than_access": {
		statusOfCustom(object{"desired_refresh_count": 1, "desired_refresh_expires_in": 600}),
		map[string]string{"reject": "400", "accept": "200"},
	},
	"missing_refresh_count": {
		statusOfCustom(object{"desired_refresh_count": nil}),
		map[string]string{"reject": "400", "zero": "200"},
	},
	"maximum_refresh_count": {
		statusOfCustom(refreshable()),
		map[string]string{"0": "200", "3": "200", "2": "400"},
	},
	"missing_subject": {
		statusOfCustom(object{"desired_subject": nil}),
		map[string]string{"reject": "400", "accept": "200"},
	},
	"subject_characters": {
		statusOfCustom(object{"desired_subject": "a/b c"}),
		map[string]string{"plain": "400", "any": "200"},
	},
	"maximum_subject_length": {
		statusOfCustom(object{"desired_subject": strings.Repeat("s", 129)}),
		map[string]string{"128": "400", "129": "200", "0": "200"},
	},
	"duplicate_subject": {
		func(d *device) string {
			login := d.login().access(d.t)
			d.custom(login, "s", nil)
			second := d.custom(login, "s", nil).status
			d.revoke(login, "custom_token_subject_to_revoke", "s")
			return fmt.Sprint(second, d.custom(login, "t", nil).status)
		},
		map[string]string{"reject": "400 200", "accept": "200 200"},
	},
	"no_refresh_members": {
		func(d *device) string {
			leased := d.custom(d.login().access(d.t), "s", nil)
			token, has := leased.body["refresh_token"]
			return fmt.Sprint(has, " ", token, " ", leased.body["refresh_expires_in"])
		},
		map[string]string{"absent": "false <nil> <nil>", "null": "true <nil> <nil>", "empty": "true  0"},
	},
	"password_grant_honours_desired": {
		func(d *device) string {
			login := d.grant("password", object{
				"username": "admin", "password": d.password, "desired_expires_in": 60, "desired_refresh_expires_in": 90,
			})
			return fmt.Sprint(login.body["expires_in"], login.body["refresh_expires_in"])
		},
		map[string]string{"no": "1800 2400", "yes": "60 90"},
	},
	"weak_roles_may_manage_tokens": {
		func(d *device) string {
			user := d.act("add_external_user", map[string]string{"name": "x", "role": "ro"})
			login := d.grant("password", object{"username": "x", "password": user["password"]}).access(d.t)
			return strconv.Itoa(d.custom(login, "s", nil).status)
		},
		map[string]string{"no": "400", "yes": "200"},
	},
	"failed_refresh_status": {
		func(d *device) string {
			return strconv.Itoa(d.grant("refresh_token", object{"refresh_token": "x"}).status)
		},
		map[string]string{"400": "400", "401": "401"},
	},
	"refresh_kills_old_access": {
		func(d *device) string {
			login := d.login()
			d.grant("refresh_token", object{"refresh_token": login.body["refresh_token"]})
			return strconv.Itoa(d.works(login.access(d.t)))
		},
		map[string]string{"yes": "401", "no": "200"},
	},
	"used_refresh_token": {
		func(d *device) string {
			login := d.login()
			d.grant("refresh_token", object{"refresh_token": login.body["refresh_token"]})
			return strconv.Itoa(d.grant("refresh_token", object{"refresh_token": login.body["refresh_token"]}).status)
		},
		map[string]string{"reject": "400", "accept": "200"},
	},
	"revoke_unknown_token": {
		func(d *device) string {
			login := d.login().access(d.t)
			return fmt.Sprint(d.revoke(login, "token_to_revoke", "x").status,
				d.revoke(login, "custom_token_id_to_revoke", "x").status)
		},
		map[string]string{"bad_request": "400 400", "ok": "200 200"},
	},
	"revoke_unknown_subject": {
		func(d *device) string {
			return strconv.Itoa(d.revoke(d.login().access(d.t), "custom_token_subject_to_revoke", "x").status)
		},
		map[string]string{"bad_request": "400", "ok": "200"},
	},
	"revoke_subject": {
		endingsAfter(func(d *device) {
			d.set("duplicate_subject", "accept")
			login := d.login().access(d.t)
			d.custom(login, "s", nil)
			d.custom(login, "s", nil)
			d.revoke(login, "custom_token_subject_to_revoke", "s")
		}),
		map[string]string{"one": ",revoked,", "all": ",revoked,revoked"},
	},
	"revoke_token": {
		func(d *device) string {
			login := d.login().access(d.t)
			leased := d.custom(login, "s", refreshable())
			d.revoke(login, "token_to_revoke", leased.body["refresh_token"].(string))
			after := fmt.Sprint(d.works(leased.access(d.t)), d.endings()[1])
			d.revoke(login, "token_to_revoke", leased.access(d.t))
			return fmt.Sprint(after, " ", d.works(leased.access(d.t)), d.endings()[1])
		},
		map[string]string{"pair": "401revoked 401revoked", "token": "200 401revoked"},
	},
	"parent_revoke_kills_custom": {
		endingsAfter(func(d *device) {
			login := d.login().access(d.t)
			d.custom(login, "s", nil)
			d.revoke(login, "token_to_revoke", login)
		}),
		map[string]string{"no": "revoked,", "yes": "revoked,parent_revoked"},
	},
	"password_change_ends": {
		endingsAfter(func(d *device) {
			d.login()
			login := d.login().access(d.t)
			d.custom(login, "s", nil)
			d.change(login, object{"password": d.password, "newPassword": "New-Passw0rd"})
		}),
		map[string]string{
			"everything":  "password_changed,password_changed,password_changed",
			"logins":      "password_changed,password_changed,",
			"own_session": ",password_changed,",
		},
	},
	"password_policy": {
		func(d *device) string {
			return strconv.Itoa(d.change(d.login().access(d.t), object{"password": d.password, "newPassword": "weak"}).status)
		},
		map[string]string{"complex": "422", "none": "200"},
	},
	"reboot_keeps_tokens": {
		endingsAfter(func(d *device) {
			d.login()
			d.act("reboot", nil)
		}),
		map[string]string{"no": "rebooted", "yes": ""},
	},
	"custom_tokens_in_sessions": {
		func(d *device) string {
			login := d.login().access(d.t)
			d.custom(login, "s", nil)
			return fmt.Sprint(len(d.get(login, "/action/activeusersessions").body["items"].([]any)))
		},
		map[string]string{"no": "1", "yes": "2"},
	},
	"custom_token_session_name": {
		func(d *device) string {
			d.set("custom_tokens_in_sessions", "yes")
			login := d.login().access(d.t)
			d.custom(login, "s", nil)
			return fmt.Sprint(d.get(login, "/action/activeusersessions").body["items"].([]any)[1].(object)["userName"])
		},
		map[string]string{"user": "admin", "subject": "s"},
	},
	"session_id_is_jti": {
		func(d *device) string {
			login := d.login().access(d.t)
			item := d.get(login, "/action/activeusersessions").body["items"].([]any)[0].(object)
			return fmt.Sprint(item["id"] == claims(d.t, login)["jti"])
		},
		map[string]string{"no": "false", "yes": "true"},
	},
	"clock_skew": {
		func(d *device) string {
			login := d.login()
			return fmt.Sprintf("%s %.0f", login.header.Get("Date"), claims(d.t, login.access(d.t))["exp"])
		},
		map[string]string{
			"0s": "Wed, 02 Jan 2030 03:04:05 GMT 1893555245",
			"1h": "Wed, 02 Jan 2030 04:04:05 GMT 1893558845",
		},
	},
}

func TestSwitches_EveryValueHasItsEffect(t *testing.T) {
	for _, s := range newDevice(t).srv.Switches("ftd") {
		t.Run(s.Name, func(t *testing.T) {
			c, ok := switchCases[s.Name]
			require.True(t, ok, "no case for the switch")
			require.Contains(t, c.want, s.Default)
			require.Greater(t, len(c.want), 1)
			if s.Kind == emulator.KindChoice {
				require.Len(t, c.want, len(s.Allowed))
			}
			for value, want := range c.want {
				d := newDevice(t)
				d.set(s.Name, value)
				require.Equal(t, want, c.probe(d), "value %s", value)
			}
		})
	}
}
