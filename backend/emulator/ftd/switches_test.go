package ftd_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
)

func TestSuite(t *testing.T) {
	cases := maps.Clone(switches)
	maps.Copy(cases, userAndSessionSwitches)
	emulatortest.Suite[*device]{Vendor: ftd.New(), On: withRoot, Switches: cases}.Run(t)
}

// statusOfCustom returns a probe of the status of a custom token request with changed members.
func statusOfCustom(changes object) func(d *device) string {
	return func(d *device) string { return strconv.Itoa(d.custom(d.access(d.login()), "s", changes).Status) }
}

// endReasonsAfter returns a probe of the end reasons after some steps.
func endReasonsAfter(steps func(d *device)) func(d *device) string {
	return func(d *device) string {
		steps(d)
		return strings.Join(d.EndReasons(), ",")
	}
}

var switches = emulatortest.SwitchCases[*device]{
	"device_state": {
		func(d *device) string {
			login := d.login()
			token, _ := login.Body["access_token"].(string)
			if token == "" { // booting, also at the time of the login
				return fmt.Sprint(login.Status)
			}
			return fmt.Sprint(login.Status, d.works(token), d.do(http.MethodGet, "/api/versions", "", nil).Status)
		},
		map[string]string{
			"ready": "200 200 200", "booting": "503", "setup_wizard": "200 403 200", "busy": "200 423 200",
		},
	},
	"ha_role": {
		func(d *device) string { return strconv.Itoa(d.change(d.access(d.login()), nil).Status) },
		map[string]string{"active": "200", "standby": "422"},
	},
	"method_not_allowed_status": {
		func(d *device) string {
			return strconv.Itoa(d.do(http.MethodGet, "/api/fdm/latest/fdm/token", "", nil).Status)
		},
		map[string]string{"405": "405", "404": "404"},
	},
	"ended_token_status": {
		func(d *device) string {
			login := d.access(d.login())
			d.revoke(login, "token_to_revoke", login)
			return strconv.Itoa(d.works(login))
		},
		map[string]string{"401": "401", "408": "408"},
	},
	"forbidden_status": {
		func(d *device) string {
			login := d.external("ro")
			return strconv.Itoa(d.get(login, "/action/activeusersessions").Status)
		},
		map[string]string{"403": "403", "401": "401"},
	},
	"session_limit": {
		endReasonsAfter(func(d *device) {
			for range 6 {
				d.login()
			}
		}),
		map[string]string{"5": "evicted,,,,,", "2": "evicted,evicted,evicted,evicted,,", "0": ",,,,,"},
	},
	"session_scope": {
		endReasonsAfter(func(d *device) {
			d.Set("session_limit", "1")
			d.login()
			d.external("ro")
		}),
		map[string]string{"device": "evicted,", "user": ","},
	},
	"oldest_by": {
		endReasonsAfter(func(d *device) {
			d.Set("session_limit", "3")
			first, second := d.login(), d.login()
			d.login()
			d.MoveClock(time.Second)
			d.refresh(first)
			d.MoveClock(time.Second)
			d.works(d.access(second))
			d.login()
		}),
		// The first session was refreshed, the second was used, so the oldest session depends on the switch.
		map[string]string{"issue": "evicted,,,", "refresh": ",evicted,,", "use": ",,evicted,"},
	},
	"slot_held_until": {
		endReasonsAfter(func(d *device) {
			d.Set("session_limit", "1")
			first := d.login()
			d.MoveClock(1900 * time.Second) // between the ends of access and refresh token
			d.login()
			d.refresh(first)
		}),
		map[string]string{"refresh": "evicted,", "access": ",evicted"},
	},
	"custom_tokens_count": {
		endReasonsAfter(func(d *device) {
			d.Set("session_limit", "1")
			d.custom(d.access(d.login()), "s", nil)
		}),
		map[string]string{"yes": "evicted,", "no": ","},
	},
	"minimum_expires_in": {
		statusOfCustom(object{"desired_expires_in": 59}),
		map[string]string{"1": "200", "60": "400"},
	},
	"missing_expires_in": {
		func(d *device) string {
			leased := d.custom(d.access(d.login()), "s", object{"desired_expires_in": nil})
			return fmt.Sprint(leased.Status, leased.Body["expires_in"])
		},
		map[string]string{"reject": "400 <nil>", "default": "200 1800"},
	},
	"above_maximum": {
		func(d *device) string {
			leased := d.custom(d.access(d.login()), "s", object{"desired_expires_in": 40_000_000})
			if leased.Status != 200 {
				return strconv.Itoa(leased.Status)
			}
			return fmt.Sprintf("%.0f", leased.Body["expires_in"])
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
			login := d.access(d.login())
			d.custom(login, "s", nil)
			second := d.custom(login, "s", nil).Status
			d.revoke(login, "custom_token_subject_to_revoke", "s")
			return fmt.Sprint(second, d.custom(login, "t", nil).Status)
		},
		map[string]string{"reject": "400 200", "accept": "200 200"},
	},
	"no_refresh_members": {
		func(d *device) string {
			leased := d.custom(d.access(d.login()), "s", nil)
			token, has := leased.Body["refresh_token"]
			return fmt.Sprint(has, " ", token, " ", leased.Body["refresh_expires_in"])
		},
		map[string]string{"absent": "false <nil> <nil>", "null": "true <nil> <nil>", "empty": "true  0"},
	},
	"password_grant_honours_desired": {
		func(d *device) string {
			login := d.grant("password", object{
				"username": "admin", "password": d.password, "desired_expires_in": 60, "desired_refresh_expires_in": 90,
			})
			return fmt.Sprint(login.Body["expires_in"], login.Body["refresh_expires_in"])
		},
		map[string]string{"no": "1800 2400", "yes": "60 90"},
	},
	"weak_roles_may_manage_tokens": {
		func(d *device) string {
			login := d.external("ro")
			return strconv.Itoa(d.custom(login, "s", nil).Status)
		},
		map[string]string{"no": "400", "yes": "200"},
	},
	"failed_refresh_status": {
		func(d *device) string {
			return strconv.Itoa(d.grant("refresh_token", object{"refresh_token": "x"}).Status)
		},
		map[string]string{"400": "400", "401": "401"},
	},
	"refresh_kills_old_access": {
		func(d *device) string {
			login := d.login()
			d.refresh(login)
			return strconv.Itoa(d.works(d.access(login)))
		},
		map[string]string{"yes": "401", "no": "200"},
	},
	"used_refresh_token": {
		func(d *device) string {
			login := d.login()
			d.refresh(login)
			return strconv.Itoa(d.refresh(login).Status)
		},
		map[string]string{"reject": "400", "accept": "200"},
	},
	"revoke_unknown_token": {
		func(d *device) string {
			login := d.access(d.login())
			return fmt.Sprint(d.revoke(login, "token_to_revoke", "x").Status,
				d.revoke(login, "custom_token_id_to_revoke", "x").Status)
		},
		map[string]string{"bad_request": "400 400", "ok": "200 200"},
	},
	"revoke_unknown_subject": {
		func(d *device) string {
			return strconv.Itoa(d.revoke(d.access(d.login()), "custom_token_subject_to_revoke", "x").Status)
		},
		map[string]string{"bad_request": "400", "ok": "200"},
	},
	"revoke_subject": {
		endReasonsAfter(func(d *device) {
			d.Set("duplicate_subject", "accept")
			login := d.access(d.login())
			d.custom(login, "s", nil)
			d.custom(login, "s", nil)
			d.revoke(login, "custom_token_subject_to_revoke", "s")
		}),
		map[string]string{"one": ",revoked,", "all": ",revoked,revoked"},
	},
	"revoke_token": {
		func(d *device) string {
			login := d.access(d.login())
			leased := d.custom(login, "s", refreshable())
			d.revoke(login, "token_to_revoke", leased.Member("refresh_token"))
			after := fmt.Sprint(d.works(d.access(leased)), d.EndReasons()[1])
			d.revoke(login, "token_to_revoke", d.access(leased))
			return fmt.Sprint(after, " ", d.works(d.access(leased)), d.EndReasons()[1])
		},
		map[string]string{"pair": "401revoked 401revoked", "token": "200 401revoked"},
	},
	"parent_revoke_kills_custom": {
		endReasonsAfter(func(d *device) {
			login := d.access(d.login())
			d.custom(login, "s", nil)
			d.revoke(login, "token_to_revoke", login)
		}),
		map[string]string{"no": "revoked,", "yes": "revoked,parent_revoked"},
	},
	"password_change_ends": {
		endReasonsAfter(func(d *device) {
			d.login()
			login := d.access(d.login())
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
			return strconv.Itoa(d.change(d.access(d.login()), object{"password": d.password, "newPassword": "weak"}).Status)
		},
		map[string]string{"complex": "422", "none": "200"},
	},
	"reboot_keeps_tokens": {
		endReasonsAfter(func(d *device) {
			d.login()
			d.Act("reboot")
		}),
		map[string]string{"no": "rebooted", "yes": ""},
	},
	"clock_skew": {
		func(d *device) string {
			login := d.login()
			return fmt.Sprintf("%s %.0f", login.Header.Get("Date"), claims(d.T, d.access(login))["exp"])
		},
		map[string]string{
			"0s": "Wed, 02 Jan 2030 03:04:05 GMT 1893555245",
			"1h": "Wed, 02 Jan 2030 04:04:05 GMT 1893558845",
		},
	},
}
