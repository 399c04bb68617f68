package ftd_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRotateRoot_Success_ChangesPassword(t *testing.T) {
	d := newDevice(t)
	previous := d.fields["password"]
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
	assert.NotEqual(t, previous, nextPassword)
}

// refusedChanges are answers by which the device refuses to change the password, and the resulting errors.
var refusedChanges = map[string]struct {
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
	"role too weak, 401, and the login works": {
		fault: emulator.Fault{Status: 401}, want: provider.ClassForbidden, remedy: "role that may do this",
	},
	"408, and the login works": {fault: emulator.Fault{Status: 408}, want: provider.ClassForbidden},
	"locked":                   {fault: emulator.Fault{Status: 423}, want: provider.ClassUnavailable, message: "locked"},
	"starting":                 {fault: emulator.Fault{Status: 503}, want: provider.ClassUnavailable, message: "starting"},
	"too many requests":        {fault: emulator.Fault{Status: 429}, want: provider.ClassRateLimited},
}

// After an error of a definite class, the device still accepts the current password.
func TestRotateRoot_Refused_KeepsCurrentPassword(t *testing.T) {
	for name, test := range refusedChanges {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			current := d.fields["password"].(string)
			for name, value := range test.switches {
				d.Set(name, value)
			}
			if test.fault.Status != 0 {
				if test.fault.Body != nil {
					body := strings.Replace(strings.Replace(*test.fault.Body, "§", current, 1), "§", nextPassword, 1)
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
			assert.Contains(t, failure.Message+": "+failure.Detail, test.message)
			assert.Contains(t, failure.Remedy, test.remedy)
			assert.Equal(t, 1, d.changes())
			d.requirePassword(current)
		})
	}
}

// When the device may have changed the password without confirming it, the error is ClassAmbiguous.
func TestRotateRoot_UnclearAnswer_IsAmbiguous(t *testing.T) {
	for name, test := range map[string]struct {
		fault   emulator.Fault
		changed bool
	}{
		"lost after the change":  {fault: emulator.Fault{DropAfter: true}, changed: true},
		"cut off":                {fault: emulator.Fault{Truncate: true}, changed: true},
		"lost before the change": {fault: emulator.Fault{DropBefore: true}},
		"server error":           {fault: emulator.Fault{Status: 500}},
		"error of a proxy":       {fault: emulator.Fault{Status: 502}},
		"page of a proxy":        {fault: emulator.Fault{Body: new("<html>Log in here</html>")}},
		"empty":                  {fault: emulator.Fault{Body: new("")}},
		"no content":             {fault: emulator.Fault{Status: 204, Body: new("")}},
		"something else":         {fault: emulator.Fault{Body: new(`{"message":"OK","status_code":200}`)}},
		"null":                   {fault: emulator.Fault{Body: new("null")}},
		"another user":           {fault: emulator.Fault{Body: new(`{"type":"user","id":"other"}`)}},
		"echo of the password":   {fault: emulator.Fault{Body: new(`{"newPassword":"` + nextPassword + `"}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			current := d.fields["password"]
			test.fault.Route = changeUser
			d.InjectFault(test.fault)
			_, err := rotate(t, d, d.open())
			requireClass(t, provider.ClassAmbiguous, err)
			assert.Equal(t, 1, d.changes())
			if test.changed {
				d.requirePassword(nextPassword)
			} else {
				d.requirePassword(current)
			}
		})
	}
}

// The change ends the login that made it. A device may report the ended login instead of the change.
func TestRotateRoot_LoginEndedDuringChange_IsAmbiguous(t *testing.T) {
	for name, prepare := range map[string]func(d *device){
		"by the change": func(d *device) {
			d.useProxy(nil, func(answer *http.Response) error {
				if answer.Request.Method == http.MethodPut {
					answer.StatusCode = http.StatusUnauthorized
				}
				return nil
			})
		},
		"by other logins": func(d *device) {
			d.useProxy(func(r *http.Request, _ []byte) {
				if r.Method == http.MethodPut {
					d.evictLogin()
				}
			}, nil)
		},
		"and the check fails": func(d *device) {
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

func TestRotateRoot_WithoutProposedPassword_IsInvalid(t *testing.T) {
	for _, proposed := range []map[string]any{nil, {}, {"password": ""}, {"password": 7}} {
		d := newDevice(t)
		_, err := d.open().RotateRoot(t.Context(), "va-edge-1", proposed)
		assert.Equal(t, "password", requireClass(t, provider.ClassInvalid, err).Field)
		assert.Zero(t, d.Requested())
	}
}

func TestProposeRoot_PasswordPolicy_IsUsed(t *testing.T) {
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

func TestProposeRoot_WithoutPolicy_MeetsCommonRules(t *testing.T) {
	generated := []string{"only-lower-case-1", "ONLY-UPPER-CASE-1", "No-Digit", "NoSpecial1", "A1a-bbb", "A1a---x", nextPassword}
	d := newDevice(t)
	proposed, err := d.open().ProposeRoot(func(string) (string, error) {
		next := generated[0]
		generated = generated[1:]
		return next, nil
	})
	require.NoError(t, err)
	assert.Equal(t, nextPassword, proposed["password"])

	d.fields["password_policy"] = "ftd-rules"
	proposed, err = d.open().ProposeRoot(func(string) (string, error) { return "aaa", nil })
	require.NoError(t, err)
	assert.Equal(t, "aaa", proposed["password"], "the operator's policy decides")

	delete(d.fields, "password_policy")
	_, err = d.open().ProposeRoot(func(string) (string, error) { return "aaa", nil })
	assert.Contains(t, requireClass(t, provider.ClassUnknown, err).Remedy, "password_policy")
}

func TestProposeRoot_NoPassword_IsAnError(t *testing.T) {
	for name, cause := range map[string]error{
		"classified": provider.InvalidField("password_policy", "no policy has this name"),
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
