package ftd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
)

const (
	// nextPassword satisfies the emulated device's rules.
	nextPassword = "Next-Passw0rd-of-admin"

	// readUsers and changeUser are routes of faults.
	readUsers  = "GET */object/users"
	changeUser = "PUT */object/users/*"
)

// rotate asks a connection for nextPassword, and demands what holds for any outcome: the change is sent once at
// most, and neither password is told.
func rotate(t *testing.T, d *device, c connection) (*provider.RotatedRoot, error) {
	t.Helper()
	rotated, err := c.RotateRoot(t.Context(), "va-edge-1", map[string]any{"password": nextPassword})
	assert.LessOrEqual(t, d.changes(), 1)
	told := d.log.String()
	if err != nil {
		told += err.Error()
	}
	assert.NotContains(t, told, nextPassword)
	assert.NotContains(t, told, d.fields["password"])
	return rotated, err
}

// changes counts requests that change a user.
func (d *device) changes() int {
	count := 0
	for _, request := range d.Requests("ftd") {
		if request.Method == http.MethodPut {
			count++
		}
	}
	return count
}

// requirePassword demands that the password is in force.
func (d *device) requirePassword(password any) {
	d.T.Helper()
	d.EndFaults()
	d.fields["password"] = password
	_, err := d.open().Check(d.T.Context())
	require.NoError(d.T, err)
}

// passBy puts a proxy before the device that shows requests and answers to the functions, of which either may
// be nil.
func (d *device) passBy(asked func(*http.Request, []byte), answered func(*http.Response) error) {
	d.T.Helper()
	target, err := url.Parse(d.Address())
	require.NoError(d.T, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, ModifyResponse: answered}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(d.T, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		if asked != nil {
			asked(r, body)
		}
		proxy.ServeHTTP(w, r)
	}))
	d.T.Cleanup(server.Close)
	d.address = server.URL
}

func TestRotateRoot_ChangesThePasswordAtTheDevice(t *testing.T) {
	d := newDevice(t)
	former := d.fields["password"]
	rotated, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"password": nextPassword}, rotated.Fields)
	assert.True(t, rotated.InvalidatesCredentials)
	assert.Nil(t, rotated.Undo)
	assert.Nil(t, rotated.Previous)
	require.Len(t, rotated.Warnings, 2)
	assert.Contains(t, rotated.Warnings[0], "leased tokens")
	assert.Contains(t, rotated.Warnings[1], "deployment")

	_, err = d.open().Check(t.Context())
	requireClass(t, provider.ClassUnauthenticated, err)
	d.requirePassword(nextPassword)
	assert.NotEqual(t, former, nextPassword)
}

// A PUT replaces the whole object, so what is not sent back is lost.
func TestRotateRoot_SendsTheUserAsItWasRead(t *testing.T) {
	d := newDevice(t)
	var read, sent map[string]json.RawMessage
	d.passBy(func(r *http.Request, body []byte) {
		if r.Method == http.MethodPut {
			assert.NoError(t, json.Unmarshal(body, &sent))
		}
	}, func(answer *http.Response) error {
		if answer.Request.Method != http.MethodGet {
			return nil
		}
		content, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		content = bytes.Replace(content, []byte(`"userPreferences"`),
			[]byte(`"serial":12345678901234567890,"later":{"list":[1.50,null]},"userPreferences"`), 1)
		answer.Body, answer.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
		answer.Header.Del("Content-Length")
		var list struct{ Items []map[string]json.RawMessage }
		if err := json.Unmarshal(content, &list); err == nil && len(list.Items) == 1 && read == nil {
			read = list.Items[0]
		}
		return nil
	})
	_, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.JSONEq(t, `"`+nextPassword+`"`, string(sent["newPassword"]))
	assert.JSONEq(t, `"`+d.fields["password"].(string)+`"`, string(sent["password"]))
	for _, member := range []string{"links", "password", "newPassword"} {
		require.Contains(t, read, member)
		delete(read, member)
		delete(sent, member)
	}
	for _, member := range []string{"id", "version", "type", "name", "identitySourceId", "userRole", "userServiceTypes", "userPreferences", "serial", "later"} {
		assert.Contains(t, read, member)
	}
	assert.Equal(t, read, sent)
}

func TestRotateRoot_TheIDIsOneSegmentOfThePath(t *testing.T) {
	d := newDevice(t)
	var paths []string
	d.passBy(func(r *http.Request, _ []byte) {
		if r.Method == http.MethodPut {
			paths = append(paths, r.URL.EscapedPath())
		}
	}, nil)
	d.InjectFault(emulator.Fault{Route: readUsers, Times: 1, Body: new(`{"items":[{"name":"admin","type":"user","id":"../a b?c#d"}]}`)})
	_, err := rotate(t, d, d.open())
	require.Error(t, err)
	assert.Equal(t, []string{"/api/fdm/latest/object/users/..%2Fa%20b%3Fc%23d"}, paths)
}

func TestRotateRoot_ExternalUser_IsInvalid(t *testing.T) {
	d := newDevice(t)
	root := d.Act("add_external_user", "name", "keeper", "role", "admin")
	d.fields["username"], d.fields["password"] = root["username"], root["password"]
	_, err := rotate(t, d, d.open())
	failure := requireClass(t, provider.ClassInvalid, err)
	assert.Contains(t, failure.Message, "external server")
	assert.Contains(t, failure.Remedy, "write it to config/edge")
	assert.Zero(t, d.changes())
	d.requirePassword(root["password"])
}

func TestRotateRoot_UserThatIsNotCertain_IsNotChanged(t *testing.T) {
	for name, test := range map[string]struct {
		listed string
		want   provider.Class
	}{
		"a page":              {`<html>Log in here</html>`, provider.ClassUnavailable},
		"no list":             {`[]`, provider.ClassUnavailable},
		"another shape":       {`{"items":["admin"]}`, provider.ClassUnavailable},
		"no id":               {`{"items":[{"name":"admin","type":"user"}]}`, provider.ClassUnavailable},
		"no text as id":       {`{"items":[{"name":"admin","type":"user","id":7}]}`, provider.ClassUnavailable},
		"parent as id":        {`{"items":[{"name":"admin","type":"user","id":".."}]}`, provider.ClassUnavailable},
		"another type":        {`{"items":[{"name":"admin","type":"group","id":"x"}]}`, provider.ClassUnavailable},
		"nothing":             {`{}`, provider.ClassInvalid},
		"null":                {`{"items":[null]}`, provider.ClassInvalid},
		"longer name":         {`{"items":[{"name":"admin2","type":"user","id":"x"}]}`, provider.ClassInvalid},
		"user of the VPN":     {`{"items":[{"name":"admin","type":"user","id":"x","userServiceTypes":["RA_VPN"]}]}`, provider.ClassInvalid},
		"two of one name":     {`{"items":[{"name":"admin","type":"user","id":"x"},{"name":"admin","type":"user","id":"y"}]}`, provider.ClassInvalid},
		"both of one name":    {`{"items":[{"name":"admin","userServiceTypes":["MGMT"]},{"name":"admin","userServiceTypes":["RA_VPN"]}]}`, provider.ClassUnavailable},
		"services unheard-of": {`{"items":[{"name":"admin","userServiceTypes":"all"}]}`, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.InjectFault(emulator.Fault{Route: readUsers, Body: &test.listed})
			_, err := rotate(t, d, d.open())
			requireClass(t, test.want, err)
			assert.Zero(t, d.changes())
		})
	}
}

// After an error of a definite class the present password is in force.
func TestRotateRoot_Refused_LeavesThePasswordInForce(t *testing.T) {
	for name, test := range map[string]struct {
		switches map[string]string
		proposed string
		fault    emulator.Fault
		want     provider.Class
		message  string
		remedy   string
	}{
		"password policy": {
			proposed: "short", want: provider.ClassInvalid,
			message: "does not meet the password policy", remedy: "set password_policy in config/edge",
		},
		"standby unit": {
			switches: map[string]string{"ha_role": "standby"}, want: provider.ClassInvalid,
			message: "standby unit", remedy: "only the active unit",
		},
		"both passwords in the message": {
			fault: emulator.Fault{Status: 422, Body: new(`{"error":{"messages":[{"description":"§ and § are alike"}]}}`)},
			want:  provider.ClassInvalid, message: "[redacted] and [redacted] are alike",
		},
		"malformed":      {fault: emulator.Fault{Status: 400}, want: provider.ClassInvalid, remedy: "change it on the device"},
		"unknown object": {fault: emulator.Fault{Status: 404}, want: provider.ClassInvalid, remedy: "change it on the device"},
		"no such method": {fault: emulator.Fault{Status: 405}, want: provider.ClassInvalid, remedy: "change it on the device"},
		"redirect":       {fault: emulator.Fault{Status: 302}, want: provider.ClassInvalid, remedy: "check the address"},
		"role too weak":  {fault: emulator.Fault{Status: 403}, want: provider.ClassForbidden, remedy: "role that may do this"},
		"role too weak, 401, with a login that lives": {
			fault: emulator.Fault{Status: 401}, want: provider.ClassForbidden, remedy: "role that may do this",
		},
		"408, with a login that lives": {fault: emulator.Fault{Status: 408}, want: provider.ClassForbidden},
		"locked":                       {fault: emulator.Fault{Status: 423}, want: provider.ClassUnavailable, message: "locked"},
		"starting":                     {fault: emulator.Fault{Status: 503}, want: provider.ClassUnavailable, message: "starting"},
		"too many requests":            {fault: emulator.Fault{Status: 429}, want: provider.ClassRateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			former := d.fields["password"].(string)
			for name, value := range test.switches {
				d.Set(name, value)
			}
			if test.fault.Status != 0 {
				if test.fault.Body != nil {
					body := strings.Replace(strings.Replace(*test.fault.Body, "§", former, 1), "§", nextPassword, 1)
					test.fault.Body = &body
				}
				test.fault.Route = changeUser
				d.InjectFault(test.fault)
			}
			var err error
			if c := d.open(); test.proposed == "" {
				_, err = rotate(t, d, c)
			} else {
				_, err = c.RotateRoot(t.Context(), "va-edge-1", map[string]any{"password": test.proposed})
			}
			failure := requireClass(t, test.want, err)
			assert.Contains(t, failure.Message, test.message)
			assert.Contains(t, failure.Remedy, test.remedy)
			assert.Equal(t, 1, d.changes())
			d.requirePassword(former)
		})
	}
}

// Whenever the device may have changed the password and did not say so, whoever asked has to find out.
func TestRotateRoot_AnswerThatDoesNotTell_IsAmbiguous(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		acted bool
	}{
		"lost after the act":   {fault: emulator.Fault{DropAfter: true}, acted: true},
		"cut off":              {fault: emulator.Fault{Truncate: true}, acted: true},
		"lost before the act":  {fault: emulator.Fault{DropBefore: true}},
		"server error":         {fault: emulator.Fault{Status: 500}},
		"error of a proxy":     {fault: emulator.Fault{Status: 502}},
		"page of a proxy":      {fault: emulator.Fault{Body: new("<html>Log in here</html>")}},
		"empty":                {fault: emulator.Fault{Body: new("")}},
		"no content":           {fault: emulator.Fault{Status: 204, Body: new("")}},
		"something else":       {fault: emulator.Fault{Body: new(`{"message":"OK","status_code":200}`)}},
		"null":                 {fault: emulator.Fault{Body: new("null")}},
		"another user":         {fault: emulator.Fault{Body: new(`{"type":"user","id":"other"}`)}},
		"echo of the password": {fault: emulator.Fault{Body: new(`{"newPassword":"` + nextPassword + `"}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			former := d.fields["password"]
			test.fault.Route = changeUser
			d.InjectFault(test.fault)
			_, err := rotate(t, d, d.open())
			requireClass(t, provider.ClassAmbiguous, err)
			assert.Equal(t, 1, d.changes())
			if test.acted {
				d.requirePassword(nextPassword)
			} else {
				d.requirePassword(former)
			}
		})
	}
}

// The change ends the login that made it, and a device may say that in place of what it did.
func TestRotateRoot_LoginEndedMeanwhile_IsAmbiguous(t *testing.T) {
	for name, prepare := range map[string]func(d *device){
		"by the change": func(d *device) {
			d.passBy(nil, func(answer *http.Response) error {
				if answer.Request.Method == http.MethodPut {
					answer.StatusCode = http.StatusUnauthorized
				}
				return nil
			})
		},
		"by somebody else": func(d *device) {
			d.passBy(func(r *http.Request, _ []byte) {
				if r.Method == http.MethodPut {
					d.evictLogin()
				}
			}, nil)
		},
		"and it cannot be found out": func(d *device) {
			d.InjectFault(emulator.Fault{Route: changeUser, Status: 401})
			d.InjectFault(emulator.Fault{Route: readUsers, Skip: 1, Status: 500})
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			prepare(d)
			_, err := rotate(t, d, d.open())
			assert.Contains(t, requireClass(t, provider.ClassAmbiguous, err).Message, "ended the engine's login")
			assert.Equal(t, 1, d.changes())
			assert.Equal(t, 1, d.Requested("password"), "a login with a wrong password could lock the account")
		})
	}
}

func TestRotateRoot_WithoutAProposedPassword_IsInvalid(t *testing.T) {
	for _, proposed := range []map[string]any{nil, {}, {"password": ""}, {"password": 7}} {
		d := newDevice(t)
		_, err := d.open().RotateRoot(t.Context(), "va-edge-1", proposed)
		assert.Equal(t, "password", requireClass(t, provider.ClassInvalid, err).Field)
		assert.Zero(t, d.Requested())
	}
}

func TestProposeRoot_UsesThePasswordPolicy(t *testing.T) {
	for _, policy := range []string{"", "ftd-rules"} {
		d := newDevice(t)
		d.fields["password_policy"] = policy
		proposed, err := d.open().ProposeRoot(func(asked string) (string, error) {
			assert.Equal(t, policy, asked)
			return nextPassword, nil
		})
		require.NoError(t, err)
		assert.Equal(t, map[string]any{"password": nextPassword}, proposed)
		assert.Zero(t, d.Requested())
	}
}

func TestProposeRoot_PasswordThatCannotBeMade(t *testing.T) {
	for name, cause := range map[string]error{
		"classified": provider.InvalidField("password_policy", "there is none of that name"),
		"other":      errors.New("no entropy"),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			_, err := d.open().ProposeRoot(func(string) (string, error) { return "", cause })
			requireClass(t, provider.ClassOf(cause), err)
			require.ErrorIs(t, err, cause)
		})
	}
}

func TestOpen_PasswordPolicyIsText(t *testing.T) {
	driver := ftd.New()
	raw := map[string]any{"username": "admin", "password": "p", "password_policy": []int{1}}
	_, err := driver.Open(provider.Config{Address: "ftd.example", Fields: &framework.FieldData{Raw: raw, Schema: driver.ConfigFields()}})
	assert.Equal(t, "password_policy", requireClass(t, provider.ClassInvalid, err).Field)
}
