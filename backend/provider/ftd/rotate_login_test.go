package ftd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestRotateRoot_Success_LeavesNoLogin(t *testing.T) {
	for ended, leased := range map[string]int{"everything": 0, "logins": 1, "own_session": 1} {
		t.Run(ended, func(t *testing.T) {
			d := newDevice(t)
			d.Set("password_change_ends", ended)
			c := d.open()
			issue(t, c, "va-1")
			_, err := rotate(t, d, c)
			require.NoError(t, err)
			assert.Zero(t, d.Live(emulator.KindLogin))
			assert.Equal(t, leased, d.Live(emulator.KindLeased))
			assert.Equal(t, 1, d.Requested("password"))
			assert.Empty(t, d.sessions.Saved())
			require.NoError(t, c.Logout(t.Context()), "no login is left to end")
			assert.Equal(t, 1, d.Requested("password"))
		})
	}
}

func TestRotateRoot_LoginSurvivesChange_IsEnded(t *testing.T) {
	d := newDevice(t)
	user := ""
	d.useProxy(nil, func(answer *http.Response) error {
		if answer.Request.Method == http.MethodPut {
			answer.StatusCode, answer.ContentLength, answer.Body = 200, int64(len(user)), io.NopCloser(strings.NewReader(user))
			answer.Header.Del("Content-Length")
		}
		return nil
	})
	user = `{"type":"user","id":"x"}`
	d.InjectFault(emulator.Fault{Route: readUsers, Times: 1, Body: new(`{"items":[{"name":"admin","type":"user","id":"x","identitySourceId":"` + localSource + `"}]}`)})
	_, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.Zero(t, d.Live(emulator.KindLogin))
	assert.Empty(t, d.sessions.Saved())
}

func TestRotateRoot_LoginCannotBeEnded_Succeeds(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: readUsers, Skip: 1, Status: 500})
	rotated, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.NotNil(t, rotated)
	assert.Contains(t, d.log.String(), "could not be ended")
	assert.NotEmpty(t, d.sessions.Saved(), "the next connection can end it")
	d.requirePassword(nextPassword)
}

func TestRotateRoot_CanceledAfterChange_Succeeds(t *testing.T) {
	d := newDevice(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.useProxy(func(_ *http.Request, body []byte) {
		if bytes.Contains(body, []byte(`"revoke_token"`)) {
			cancel()
		}
	}, nil)
	rotated, err := d.open().RotateRoot(ctx, "va-edge-1", map[string]any{"password": nextPassword})
	require.NoError(t, err)
	require.Error(t, ctx.Err())
	assert.Equal(t, map[string]any{"password": nextPassword}, rotated.Fields)
	assert.Empty(t, d.sessions.Saved())
}

func TestRotateRoot_WithoutLogin_SendsNoChange(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(d *device)
		want    provider.Class
	}{
		"refused": {func(d *device) { d.fields["password"] = "wrong-Passw0rd" }, provider.ClassUnauthenticated},
		"answer lost": {
			func(d *device) { d.InjectFault(emulator.Fault{Route: "password", DropAfter: true}) }, provider.ClassUnavailable,
		},
		"unreadable storage": {func(d *device) { d.sessions.Fail(errors.New("sealed")) }, provider.ClassUnavailable},
		"ended at once": {
			func(d *device) { d.InjectFault(emulator.Fault{Route: readUsers, Status: 401}) }, provider.ClassUnavailable,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			test.prepare(d)
			_, err := rotate(t, d, d.open())
			requireClass(t, test.want, err)
			assert.Zero(t, d.changes())
		})
	}
}

func TestRotateRoot_EvictedLogin_IsReplacedBeforeChange(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.evictLogin()
	_, err := rotate(t, d, c)
	require.NoError(t, err)
	assert.Equal(t, 2, d.Requested("password"))
	d.requirePassword(nextPassword)
}

// After a panic during the login, the outcome of the login is not known. But the change has not started.
func TestRotateRoot_PanicDuringLogin_SendsNoChange(t *testing.T) {
	for _, store := range []panickingStore{{}, {loads: true}} {
		d := newDevice(t)
		_, err := rotate(t, d, d.openWithStore(store))
		requireClass(t, provider.ClassUnavailable, err)
		assert.Zero(t, d.changes())
	}
}
