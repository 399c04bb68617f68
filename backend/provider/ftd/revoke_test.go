package ftd_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRevoke_RefusedByToken_RevokesBySubject(t *testing.T) {
	for _, listing := range [][]string{{"custom_tokens_in_sessions", "no"}, {"session_id_is_jti", "no"}} {
		d := newDevice(t)
		d.Set(listing...)
		c := d.open()
		credential := issue(t, c, "va-1")
		d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400, Times: 1})
		require.NoError(t, c.Revoke(t.Context(), credential.Handle))
		assert.Zero(t, d.Live(emulator.KindLeased))
		assert.Equal(t, 2, d.Requested("revoke_token"))
		assert.Empty(t, d.endedSessions())
	}
}

// endedSessions returns the ids of the sessions that the engine asked the device to end.
func (d *device) endedSessions() []string {
	var ids []string
	for _, request := range d.Requests("ftd") {
		if request.Method == http.MethodDelete {
			ids = append(ids, path.Base(request.Path))
		}
	}
	return ids
}

// A listed token has an exact identity: its claim jti.
func TestRevoke_RefusedByToken_EndsListedSession(t *testing.T) {
	for _, status := range []string{"200", "204"} {
		d := newDevice(t)
		d.Set("session_delete_status", status)
		c := d.open()
		other, credential := issue(t, c, "va-1"), issue(t, c, "va-2")
		d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400})
		require.NoError(t, c.Revoke(t.Context(), credential.Handle))
		require.Len(t, d.endedSessions(), 1)
		assert.Equal(t, emulatortest.JWTClaims(t, credential.Token)["jti"], d.endedSessions()[0])
		assert.Equal(t, 1, d.Live(emulator.KindLeased))
		assert.NotContains(t, d.log.String(), "did not confirm")
		_, err := c.Renew(t.Context(), other.Handle, time.Hour)
		require.NoError(t, err, "no other session has ended")
	}
}

// The deletion may have ended the session although its answer was lost, or may be refused.
func TestRevoke_DeletionUnconfirmed_ChecksToken(t *testing.T) {
	for name, test := range map[string]struct {
		fault emulator.Fault
		want  provider.Class
	}{
		"ended, and the answer lost": {emulator.Fault{DropAfter: true, Times: 1}, provider.ClassUnknown},
		"refused":                    {emulator.Fault{Status: 403}, provider.ClassInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			credential := issue(t, c, "va-1")
			d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400})
			test.fault.Route = "DELETE */action/activeusersessions/*"
			d.InjectFault(test.fault)
			err := c.Revoke(t.Context(), credential.Handle)
			assert.Contains(t, d.log.String(), "did not confirm the end of a listed session")
			if test.want == provider.ClassUnknown {
				require.NoError(t, err)
				assert.Zero(t, d.Live(emulator.KindLeased))
				return
			}
			requireClass(t, test.want, err)
			assert.Equal(t, 1, d.Live(emulator.KindLeased))
		})
	}
}

func TestRevoke_TokenStillWorks_IsAnError(t *testing.T) {
	d := newDevice(t)
	d.Set("custom_tokens_in_sessions", "no") // so the listed session is no other way
	c := d.open()
	credential := issue(t, c, "va-1")
	d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400})
	failure := requireClass(t, provider.ClassInvalid, c.Revoke(t.Context(), credential.Handle))
	assert.Contains(t, failure.Remedy, "still works")
	assert.Equal(t, 1, d.Requested("password"))
}

func TestRevoke_Forbidden_IsAnError(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	credential := issue(t, c, "va-1")
	d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 403})
	requireClass(t, provider.ClassForbidden, c.Revoke(t.Context(), credential.Handle))
}

func TestRevoke_WrongPassword_IsAnError(t *testing.T) {
	d := newDevice(t)
	credential := issue(t, d.open(), "va-1")
	d.Act("change_password") // ends all sessions, and the engine cannot log in again
	err := d.open().Revoke(t.Context(), credential.Handle)
	requireClass(t, provider.ClassUnauthenticated, err)
}

// A server that answers 200 to every request has revoked nothing. The token itself shows whether it was revoked.
func TestRevoke_UnconfirmedAnswer_ChecksToken(t *testing.T) {
	for name, body := range map[string]string{
		"empty": "", "a page": "<html>Log in here</html>", "no JSON": "OK", "empty object": "{}", "a refusal": `{"message":"Bad","status_code":400}`,
	} {
		t.Run(name+", and the token works", func(t *testing.T) {
			d := newDevice(t)
			d.Set("custom_tokens_in_sessions", "no") // so the listed session is no other way
			c := d.open()
			credential := issue(t, c, "va-1")
			d.InjectFault(emulator.Fault{Route: "revoke_token", Body: &body})
			requireClass(t, provider.ClassUnavailable, c.Revoke(t.Context(), credential.Handle))
			requireClass(t, provider.ClassUnavailable, errOf(c.RevokeMarker(t.Context(), "va-1")))
			requireClass(t, provider.ClassUnavailable, c.Logout(t.Context()))
		})
		t.Run(name+", and the token has ended", func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			credential := issue(t, c, "va-1")
			require.NoError(t, c.Revoke(t.Context(), credential.Handle))
			d.InjectFault(emulator.Fault{Route: "revoke_token", Body: &body})
			require.NoError(t, c.Revoke(t.Context(), credential.Handle))
		})
	}
}

func TestRevoke_EitherMember_Confirms(t *testing.T) {
	for _, body := range []string{`{"message":"OK"}`, `{"status_code":200}`, `{"message":"Done","status_code":200}`} {
		d := newDevice(t)
		c := d.open()
		credential := issue(t, c, "va-1")
		d.InjectFault(emulator.Fault{Route: "revoke_token", Body: &body})
		require.NoError(t, c.Revoke(t.Context(), credential.Handle))
		assert.Equal(t, 1, d.Requested("revoke_token"))
	}
}

// A device that confirms the revocation of every subject does not show whether a token had it.
func TestRevokeMarker_LiveToken_IsFoundIfTheDeviceCanTell(t *testing.T) {
	for answer, found := range map[string]bool{"bad_request": true, "ok": false} {
		t.Run(answer, func(t *testing.T) {
			d := newDevice(t)
			d.Set("revoke_unknown_subject", answer)
			c := d.open()
			issue(t, c, "va-1")
			got, err := c.RevokeMarker(t.Context(), "va-1")
			require.NoError(t, err)
			require.Equal(t, found, got)
			require.Zero(t, d.Live(emulator.KindLeased))
			got, err = c.RevokeMarker(t.Context(), "va-1")
			require.NoError(t, err)
			require.False(t, got)
		})
	}
}

func TestRevokeMarker_Refused_ComparesWithAbsentSubject(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	require.NoError(t, errOf(c.RevokeMarker(t.Context(), "va-never-made")))
	assert.Equal(t, 2, d.Requested("revoke_token"))
	assert.Equal(t, 1, d.Requested("password"))
}

func TestRevokeMarker_SubjectInRefusalText_IsIgnored(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	// The device names the subject in its refusal. The test cannot know the random subject, so the second refusal has
	// the placeholder that the driver puts there.
	d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400, Body: new(`{"message":"no token for va-gone","status_code":400}`), Times: 1})
	d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400, Body: new(`{"message":"no token for <subject>","status_code":400}`), Times: 1})
	require.NoError(t, errOf(c.RevokeMarker(t.Context(), "va-gone")))
}

func TestRevokeMarker_DifferentRefusal_IsAnError(t *testing.T) {
	for name, faults := range map[string][]emulator.Fault{
		"another message": {{Status: 400, Body: new(`{"message":"the database is read-only"}`), Times: 1}},
		"another status":  {{Status: 422, Body: new(`{"message":"The token to revoke is invalid or expired"}`), Times: 1}},
		"another text, not JSON": {
			{Status: 400, Body: new("the database is read-only"), Times: 1}, {Status: 400, Body: new("no such token"), Times: 1},
		},
		"unclear answer to the absent subject": {{Status: 400, Times: 1}, {Status: 500}},
		"absent subject forbidden":             {{Status: 400, Times: 1}, {Status: 403}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			issue(t, c, "va-1")
			for _, fault := range faults {
				fault.Route = "revoke_token"
				d.InjectFault(fault)
			}
			require.Error(t, errOf(c.RevokeMarker(t.Context(), "va-1")))
			assert.Equal(t, 1, d.Live(emulator.KindLeased))
		})
	}
	t.Run("absent subject revoked", func(t *testing.T) {
		d := newDevice(t)
		d.Set("revoke_unknown_subject", "ok")
		c := d.open()
		issue(t, c, "va-1")
		d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400, Times: 1})
		failure := requireClass(t, provider.ClassInvalid, errOf(c.RevokeMarker(t.Context(), "va-1")))
		assert.Contains(t, failure.Remedy, "could not determine")
	})
}

func TestRevokeMarker_WithoutRandomBytes_IsAnError(t *testing.T) {
	d := newDevice(t)
	d.random = iotest.ErrReader(errors.New("no entropy"))
	require.Error(t, errOf(d.open().RevokeMarker(t.Context(), "va-1")))
}

// The members of a refusal besides its text differ from one request to the next.
func TestRevokeMarker_SameTextInOtherBody_IsNotFound(t *testing.T) {
	for name, bodies := range map[string][2]string{
		"JSON":     {`{"message":"no such token","status_code":400,"id":1}`, `{"message":"no such token","status_code":400,"id":2}`},
		"not JSON": {"no such token", "no such token"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			for _, body := range bodies {
				d.InjectFault(emulator.Fault{Route: "revoke_token", Status: 400, Body: &body, Times: 1})
			}
			found, err := d.open().RevokeMarker(t.Context(), "va-1")
			require.NoError(t, err)
			assert.False(t, found)
		})
	}
}

// A limit of the device on the length of a subject must apply to both subjects, and no token may have the absent one.
func TestRevokeMarker_AbsentSubject_HasLengthOfMarker(t *testing.T) {
	for length, want := range map[int]int{4: 32, 32: 32, 33: 33, 64: 64} {
		d := newDevice(t)
		var subjects []string
		d.useProxy(func(_ *http.Request, body []byte) {
			var grant struct {
				Subject string `json:"custom_token_subject_to_revoke"`
			}
			if json.Unmarshal(body, &grant) == nil && grant.Subject != "" {
				subjects = append(subjects, grant.Subject)
			}
		}, nil)
		marker := "va-" + strings.Repeat("x", length-3)
		require.NoError(t, errOf(d.open().RevokeMarker(t.Context(), marker)))
		require.Len(t, subjects, 2)
		assert.Equal(t, marker, subjects[0])
		assert.Len(t, subjects[1], want)
	}
}
