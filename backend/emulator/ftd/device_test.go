package ftd_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
)

// object is a JSON object.
type object = map[string]any

// device is an emulated FTD, with the password of its user admin.
type device struct {
	*emulatortest.Server
	password string
}

type answer = emulatortest.Answer

// newDevice serves FTD until the test ends.
func newDevice(t *testing.T) *device {
	t.Helper()
	return withRoot(emulatortest.Start(t, ftd.New()))
}

// withRoot uses the first password of admin.
func withRoot(server *emulatortest.Server) *device {
	require.Equal(server.T, "admin", server.Root()["username"])
	return &device{Server: server, password: server.Root()["password"]}
}

// do sends a request with an Authorization header ("" for none) and a JSON body (nil for none).
func (d *device) do(method, path, authorization string, body any) answer {
	d.T.Helper()
	if authorization == "" {
		return d.Send(method, d.Address()+path, body)
	}
	return d.Send(method, d.Address()+path, body, "Authorization", authorization)
}

// access returns the access token of an answer. It fails the test if there is none.
func (d *device) access(granted answer) string {
	d.T.Helper()
	require.Equal(d.T, 200, granted.Status, granted.Text)
	return granted.Member("access_token")
}

// grant sends a token request.
func (d *device) grant(kind string, members object) answer {
	d.T.Helper()
	body := object{"grant_type": kind}
	maps.Copy(body, members)
	return d.do(http.MethodPost, "/api/fdm/latest/fdm/token", "", body)
}

// login sends a password grant for admin.
func (d *device) login() answer {
	d.T.Helper()
	return d.grant("password", object{"username": "admin", "password": d.password})
}

// refresh exchanges the refresh token of an answer.
func (d *device) refresh(granted answer) answer {
	d.T.Helper()
	return d.grant("refresh_token", object{"refresh_token": granted.Body["refresh_token"]})
}

// external logs in as a new external user with a role, and returns the access token.
func (d *device) external(role string) string {
	d.T.Helper()
	user := d.Act("add_external_user", "name", "external-"+role, "role", role)
	return d.access(d.grant("password", object{"username": user["username"], "password": user["password"]}))
}

// custom requests a custom token of ten minutes without refresh. changes replaces members; nil removes one.
func (d *device) custom(login, subject string, changes object) answer {
	d.T.Helper()
	members := object{
		"access_token": login, "desired_subject": subject, "desired_expires_in": 600, "desired_refresh_count": 0,
	}
	for name, value := range changes {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	return d.grant("custom_token", members)
}

// refreshable returns the changes for a custom token with three refreshes.
func refreshable() object {
	return object{"desired_refresh_count": 3, "desired_refresh_expires_in": 900}
}

// revoke revokes by one member, such as token_to_revoke.
func (d *device) revoke(login, member, value string) answer {
	d.T.Helper()
	return d.grant("revoke_token", object{"access_token": login, member: value})
}

// get reads a resource with an access token.
func (d *device) get(token, resource string) answer {
	d.T.Helper()
	return d.do(http.MethodGet, "/api/fdm/latest"+resource, "Bearer "+token, nil)
}

// sessions lists the active user sessions.
func (d *device) sessions(token string) []any {
	d.T.Helper()
	return d.get(token, "/action/activeusersessions").Body["items"].([]any)
}

// works returns the status of a resource for an access token.
func (d *device) works(token string) int {
	d.T.Helper()
	return d.get(token, "/object/networks").Status
}

// admin reads the user object of admin.
func (d *device) admin(token string) object {
	d.T.Helper()
	list := d.get(token, "/object/users?filter=name:admin")
	require.Equal(d.T, 200, list.Status, list.Text)
	return list.Body["items"].([]any)[0].(object)
}

// change sends a PUT of admin's user object with changed members.
func (d *device) change(token string, changes object) answer {
	d.T.Helper()
	user := d.admin(token)
	path := "/api/fdm/latest/object/users/" + user["id"].(string)
	maps.Copy(user, changes)
	return d.do(http.MethodPut, path, "Bearer "+token, user)
}

// claims decodes a token.
func claims(t testing.TB, token string) object {
	t.Helper()
	header, err := base64.RawURLEncoding.DecodeString(token[:strings.Index(token, ".")])
	require.NoError(t, err)
	require.JSONEq(t, `{"alg":"HS256"}`, string(header))
	return emulatortest.JWTClaims(t, token)
}
