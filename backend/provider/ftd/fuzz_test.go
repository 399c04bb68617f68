package ftd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func FuzzAnswers(f *testing.F) {
	suite().Fuzz(f, providertest.Fuzzing{
		Seeds: []string{
			`{"access_token":"acc","expires_in":1800,"token_type":"Bearer","refresh_token":"ref","refresh_expires_in":2400}`,
			`{"access_token":"acc","expires_in":9223372036854775807,"refresh_token":"ref","refresh_expires_in":9223372036854775807}`,
			`{"access_token":"acc","expires_in":-9223372036854775808}`,
			`{"access_token":"acc","expires_in":1e3,"refresh_token":null}`,
			`{"message":"OK","status_code":200}`,
			`{"message":"§","status_code":400}`,
			`{"error":{"severity":"ERROR","key":"General","messages":[{"description":"§"}]}}`,
			`{"items":[{"id":"1","userName":"va-edge-reader-1","expiresAt":1767334985000}],"paging":{"count":1}}`,
			`{"items":[{"id":"1","userName":"va-edge-reader-1","expiresAt":9223372036854775807}],"paging":{"count":-1}}`,
			`{"items":[{"name":"admin","userRole":"ROLE_ADMIN"}]}`,
			`{"supportedVersions":["v6","latest"]}`,
		},
		Gone: func(operation string, status int, body string) bool {
			switch operation {
			case "revoke_token":
				var answer struct {
					Message string `json:"message"`
					Status  int    `json:"status_code"`
				}
				return status < 300 && json.Unmarshal([]byte(body), &answer) == nil && (answer.Message == "OK" || answer.Status == 200)
			case "object/users":
				return status == 401 || status == 408
			}
			return false
		},
	})
}

// FuzzStoredSession opens connections whose session store contains arbitrary bytes.
func FuzzStoredSession(f *testing.F) {
	f.Add([]byte("garbage"), true)
	f.Add([]byte(`{"v":1,"address":"§","username":"admin","access_token":"x","access_expires_at":"2026-01-02T03:34:05Z"}`), true)
	f.Add([]byte(`{"v":1,"address":"§","username":"admin","access_token":"x","access_expires_at":"9999-12-31T23:59:59Z","refresh_token":"y","refresh_expires_at":"0001-01-01T00:00:00Z"}`), false)
	d := newDevice(f)
	f.Fuzz(func(t *testing.T, stored []byte, issues bool) {
		d.Reset()
		d.T = t
		d.sessions.Put(bytes.ReplaceAll(stored, []byte("§"), []byte(d.Address())))
		c := d.open()
		if !issues {
			require.NoError(t, c.Logout(t.Context()), "an unusable login needs no logout")
			return
		}
		issue(t, c, "va-1")
		require.LessOrEqual(t, d.Requested("password"), 1)
	})
}

// FuzzHandle renews and revokes with arbitrary handles.
func FuzzHandle(f *testing.F) {
	for _, handle := range []string{
		"", "{}", `{"v":1}`, `{"v":1,"token":"x","subject":"va-1","expires_at":"2026-01-02T04:04:05Z"}`,
		`{"v":1,"token":"\n","expires_at":"0001-01-01T00:00:00Z"}`, `{"v":2,"token":"x"}`,
	} {
		f.Add([]byte(handle))
	}
	d := newDevice(f)
	f.Fuzz(func(t *testing.T, handle []byte) {
		d.Reset()
		d.T = t
		d.sessions.Put(nil)
		c := d.open()
		_, err := c.Renew(t.Context(), handle, time.Hour)
		require.Error(t, err, "this token was never issued")
		for _, err := range []error{err, c.Revoke(t.Context(), handle)} {
			if failure, ok := errors.AsType[*provider.Error](err); err != nil && (!ok || failure.Class == provider.ClassUnauthenticated) {
				t.Errorf("a handle must not make the engine reject the root credential: %v", err)
			}
		}
	})
}

// FuzzRotateRoot replaces the device's list of users and its answer to the change, with the status 200 and more. A § stands
// for both passwords.
func FuzzRotateRoot(f *testing.F) {
	const user = `{"name":"admin","type":"user","id":"x","version":"1","password":"§","identitySourceId":"` + localSource + `"}`
	for _, listed := range []string{
		"", "null", "[]", `{"items":[` + user + `]}`, `{"items":[` + user + `,` + user + `]}`,
		`{"items":[{"name":"admin","type":"user","id":"..","links":{"self":"§"},"identitySourceId":"` + localSource + `"}]}`,
		`{"items":[{"name":"admin","type":"user","id":"\u0000/%","userServiceTypes":["RA_VPN","MGMT"],"identitySourceId":"` + localSource + `"}]}`,
		`{"items":[{"name":"admin","type":"user","id":"x"}]}`,
	} {
		for _, answered := range []string{"", "null", user, `{"message":"§"}`, `{"error":{"messages":[{"description":"§"}]}}`} {
			f.Add(listed, uint16(0), answered) // 200
			f.Add(listed, uint16(200), answered)
			f.Add(listed, uint16(222), answered)
			f.Add(listed, uint16(422), answered)
		}
	}
	d := newDevice(f)
	f.Fuzz(func(t *testing.T, listed string, status uint16, answered string) {
		d.Reset()
		d.T = t
		d.sessions.Put(nil)
		d.log.Reset()
		both := d.fields["password"].(string) + nextPassword
		listed, answered = strings.ReplaceAll(listed, "§", both), strings.ReplaceAll(answered, "§", both)
		d.InjectFault(emulator.Fault{Route: readUsers, Times: 1, Body: &listed})
		d.InjectFault(emulator.Fault{Route: "PUT *", Status: 200 + int(status%400), Body: &answered})
		_, err := rotate(t, d, d.open())
		class := provider.ClassOf(err)
		switch changes := d.changes(); {
		case err == nil:
			require.Equal(t, 1, changes)
			require.Contains(t, answered, "user")
		case changes == 0:
			require.True(t, class.Definite(), "nothing was sent: %v", err)
		case status%400 < 100:
			require.Equal(t, provider.ClassAmbiguous, class, "%v", err)
		}
		require.False(t, err != nil && class == provider.ClassUnknown, "%v", err)
	})
}
