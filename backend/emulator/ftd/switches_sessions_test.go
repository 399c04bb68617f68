package ftd_test

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
)

// failures sends wrong passwords for admin.
func (d *device) failures(count int) {
	for range count {
		d.grant("password", object{"username": "admin", "password": "wrong"})
	}
}

// usersOf lists the users' names by a query.
func (d *device) usersOf(token, query string) string {
	var names []any
	for _, item := range d.get(token, "/object/users"+query).Body["items"].([]any) {
		names = append(names, item.(object)["name"])
	}
	return fmt.Sprint(names)
}

var userAndSessionSwitches = emulatortest.SwitchCases[*device]{
	"failed_attempts_until_lockout": {
		func(d *device) string {
			d.failures(4)
			fourth := d.login().Status
			d.failures(5)
			return fmt.Sprint(fourth, d.login().Status)
		},
		map[string]string{"5": "200 400", "3": "400 400", "0": "200 200"},
	},
	"failed_attempts_lockout": {
		func(d *device) string {
			d.failures(5)
			d.MoveClock(59 * time.Second)
			before := d.login().Status
			d.MoveClock(time.Second)
			return fmt.Sprint(before, d.login().Status)
		},
		map[string]string{"1m0s": "400 200", "15s": "200 200", "5m": "400 400"},
	},
	"failed_attempts_status": {
		func(d *device) string {
			d.failures(5)
			refused := d.login()
			return fmt.Sprint(refused.Status, " ", refused.Body["message"])
		},
		map[string]string{
			"400": "400 Too many failed attempts. Please try again later.",
			"401": "401 Too many failed attempts. Please try again later.",
			"429": "429 Too many failed attempts. Please try again later.",
		},
	},
	"external_users": {
		func(d *device) string {
			d.external("rw")
			return d.usersOf(d.access(d.login()), "")
		},
		map[string]string{"objects": "[admin external-rw]", "absent": "[admin]"},
	},
	"external_user_change": {
		func(d *device) string {
			d.external("admin")
			login := d.access(d.login())
			user := d.get(login, "/object/users?filter=name:external-admin").Body["items"].([]any)[0].(object)
			path := "/api/fdm/latest/object/users/" + user["id"].(string)
			user["password"], user["newPassword"] = "any", "New-Passw0rd"
			changed := d.do(http.MethodPut, path, "Bearer "+login, user)
			again := d.grant("password", object{"username": "external-admin", "password": "New-Passw0rd"})
			return fmt.Sprint(changed.Status, again.Status)
		},
		map[string]string{"reject": "422 400", "ignore": "200 400"},
	},
	"local_identity_source": {
		func(d *device) string {
			login := d.access(d.login())
			source := d.get(login, "/object/localidentitysources").Body["items"].([]any)[0].(object)["id"]
			return fmt.Sprint(d.admin(login)["identitySourceId"] == source, " ", source)
		},
		map[string]string{
			"e3e74c32-3c03-11e8-983b-95c21a1b6da9": "true e3e74c32-3c03-11e8-983b-95c21a1b6da9", "LOCAL": "true LOCAL",
		},
	},
	"session_delete_status": {
		func(d *device) string {
			login := d.access(d.login())
			id := d.sessions(login)[0].(object)["id"].(string)
			return strconv.Itoa(d.do(http.MethodDelete, "/api/fdm/latest/action/activeusersessions/"+id, "Bearer "+login, nil).Status)
		},
		map[string]string{"204": "204", "200": "200"},
	},
	"default_session": {
		endReasonsAfter(func(d *device) {
			d.login()
			d.do(http.MethodDelete, "/api/fdm/latest/action/activeusersessions/default", "Bearer "+d.access(d.login()), nil)
		}),
		map[string]string{"all": "revoked,revoked", "caller": ",revoked", "none": ","},
	},
	"custom_tokens_in_sessions": {
		func(d *device) string {
			login := d.access(d.login())
			d.custom(login, "s", nil)
			return fmt.Sprint(len(d.sessions(login)))
		},
		map[string]string{"no": "1", "yes": "2"},
	},
	"custom_token_session_name": {
		func(d *device) string {
			d.Set("custom_tokens_in_sessions", "yes")
			login := d.access(d.login())
			d.custom(login, "s", nil)
			return fmt.Sprint(d.sessions(login)[1].(object)["userName"])
		},
		map[string]string{"user": "admin", "subject": "s"},
	},
	"session_id_is_jti": {
		func(d *device) string {
			login := d.access(d.login())
			item := d.sessions(login)[0].(object)
			return fmt.Sprint(item["id"] == claims(d.T, login)["jti"])
		},
		map[string]string{"no": "false", "yes": "true"},
	},
}
