package ftd_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/ftd"
)

// object is a JSON object.
type object = map[string]any

// device is an emulated FTD on a clock that moves only when it is told to.
type device struct {
	t        *testing.T
	srv      *emulator.Server
	password string
}

// newDevice serves FTD for the length of a test.
func newDevice(t *testing.T) *device {
	t.Helper()
	fixed := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	srv, err := emulator.Start(emulator.Config{PlainHTTP: true, Now: func() time.Time { return fixed }}, ftd.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	root := srv.State().Vendors["ftd"].Credentials
	require.Equal(t, "admin", root["username"])
	return &device{t: t, srv: srv, password: root["password"]}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	body   object // nil if the text is not a JSON object
}

// access is the access token of an answer, which must have one.
func (a answer) access(t *testing.T) string {
	t.Helper()
	require.Equal(t, 200, a.status, a.text)
	return a.body["access_token"].(string)
}

// do sends a request with an Authorization header ("" for none) and a JSON body (nil for none).
func (d *device) do(method, path, authorization string, body any) answer {
	d.t.Helper()
	var content []byte
	if body != nil {
		var err error
		content, err = json.Marshal(body)
		require.NoError(d.t, err)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.srv.URL("ftd")+path, bytes.NewReader(content))
	require.NoError(d.t, err)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(d.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	result := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &result.body)
	return result
}

// grant sends a token request.
func (d *device) grant(kind string, members object) answer {
	d.t.Helper()
	body := object{"grant_type": kind}
	maps.Copy(body, members)
	return d.do(http.MethodPost, "/api/fdm/latest/fdm/token", "", body)
}

// login is a password grant.
func (d *device) login() answer {
	d.t.Helper()
	return d.grant("password", object{"username": "admin", "password": d.password})
}

// custom asks for a custom token of ten minutes without refresh; changes replace members, nil removes one.
func (d *device) custom(login, subject string, changes object) answer {
	d.t.Helper()
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

// refreshable are the changes that give a custom token three refreshes.
func refreshable() object {
	return object{"desired_refresh_count": 3, "desired_refresh_expires_in": 900}
}

// revoke revokes by one member, such as token_to_revoke.
func (d *device) revoke(login, member, value string) answer {
	d.t.Helper()
	return d.grant("revoke_token", object{"access_token": login, member: value})
}

// get reads a resource with an access token.
func (d *device) get(token, resource string) answer {
	d.t.Helper()
	return d.do(http.MethodGet, "/api/fdm/latest"+resource, "Bearer "+token, nil)
}

// works is the status that a resource answers to an access token.
func (d *device) works(token string) int {
	d.t.Helper()
	return d.get(token, "/object/networks").status
}

// set changes a switch.
func (d *device) set(name, value string) {
	d.t.Helper()
	require.NoError(d.t, d.srv.SetSwitch("ftd", name, value))
}

// act carries out an action.
func (d *device) act(name string, arguments map[string]string) map[string]string {
	d.t.Helper()
	result, err := d.srv.Do("ftd", name, arguments)
	require.NoError(d.t, err)
	return result
}

// advance moves the clock.
func (d *device) advance(by time.Duration) {
	d.t.Helper()
	require.NoError(d.t, d.srv.Advance(by))
}

// endings returns why each credential ended, in the order of issue, "" for live ones.
func (d *device) endings() []string {
	d.t.Helper()
	var ended []string
	for _, c := range d.srv.Credentials("ftd") {
		require.Equal(d.t, c.Live, c.EndedBy == "")
		ended = append(ended, c.EndedBy)
	}
	return ended
}

// admin reads the user object of admin.
func (d *device) admin(token string) object {
	d.t.Helper()
	list := d.get(token, "/object/users?filter=name:admin")
	require.Equal(d.t, 200, list.status, list.text)
	return list.body["items"].([]any)[0].(object)
}

// change puts the user object of admin with changed members.
func (d *device) change(token string, changes object) answer {
	d.t.Helper()
	user := d.admin(token)
	path := "/api/fdm/latest/object/users/" + user["id"].(string)
	maps.Copy(user, changes)
	return d.do(http.MethodPut, path, "Bearer "+token, user)
}

// claims decodes a token.
func claims(t *testing.T, token string) object {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"alg":"HS256"}`, string(header))
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var decoded object
	require.NoError(t, json.Unmarshal(payload, &decoded))
	return decoded
}
