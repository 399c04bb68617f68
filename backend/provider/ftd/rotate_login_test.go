package ftd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/ftd"
)

func TestRotateRoot_CostsNoneOfTheDevicesSessions(t *testing.T) {
	for extent, leased := range map[string]int{"everything": 0, "logins": 1, "own_session": 1} {
		t.Run(extent, func(t *testing.T) {
			d := newDevice(t)
			d.Set("password_change_ends", extent)
			c := d.open()
			issue(t, c, "va-1")
			_, err := rotate(t, d, c)
			require.NoError(t, err)
			assert.Zero(t, d.Live(emulator.KindLogin))
			assert.Equal(t, leased, d.Live(emulator.KindLeased))
			assert.Equal(t, 1, d.Requested("password"))
			assert.Empty(t, d.sessions.Saved())
			require.NoError(t, c.Logout(t.Context()), "there is nothing left to end")
			assert.Equal(t, 1, d.Requested("password"))
		})
	}
}

func TestRotateRoot_LoginThatSurvives_IsEnded(t *testing.T) {
	d := newDevice(t)
	user := ""
	d.passBy(nil, func(answer *http.Response) error {
		if answer.Request.Method == http.MethodPut {
			answer.StatusCode, answer.ContentLength, answer.Body = 200, int64(len(user)), io.NopCloser(strings.NewReader(user))
			answer.Header.Del("Content-Length")
		}
		return nil
	})
	user = `{"type":"user","id":"x"}`
	d.InjectFault(emulator.Fault{Route: readUsers, Times: 1, Body: new(`{"items":[{"name":"admin","type":"user","id":"x"}]}`)})
	_, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.Zero(t, d.Live(emulator.KindLogin))
	assert.Empty(t, d.sessions.Saved())
}

func TestRotateRoot_LoginThatCannotBeEnded_IsNoReasonToFail(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: readUsers, Skip: 1, Status: 500})
	rotated, err := rotate(t, d, d.open())
	require.NoError(t, err)
	assert.NotNil(t, rotated)
	assert.Contains(t, d.log.String(), "could not be ended")
	assert.NotEmpty(t, d.sessions.Saved(), "whoever comes next may end it")
	d.requirePassword(nextPassword)
}

func TestRotateRoot_CallerWhoGivesUpAfterTheChange_LosesNothing(t *testing.T) {
	d := newDevice(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d.passBy(func(_ *http.Request, body []byte) {
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

func TestRotateRoot_WithoutALogin_SendsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(d *device)
		want    provider.Class
	}{
		"refused": {func(d *device) { d.fields["password"] = "wrong-Passw0rd" }, provider.ClassUnauthenticated},
		"answer lost": {
			func(d *device) { d.InjectFault(emulator.Fault{Route: "password", DropAfter: true}) }, provider.ClassUnavailable,
		},
		"storage that cannot be read": {func(d *device) { d.sessions.Fail(errors.New("sealed")) }, provider.ClassUnavailable},
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

func TestRotateRoot_EvictedLogin_IsReplacedBeforeTheChange(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.evictLogin()
	_, err := rotate(t, d, c)
	require.NoError(t, err)
	assert.Equal(t, 2, d.Requested("password"))
	d.requirePassword(nextPassword)
}

// Of a panic in getting a login nobody knows how far it had come, but the change was not begun.
func TestRotateRoot_PanicWhileLoggingIn_SendsNothing(t *testing.T) {
	for _, store := range []brokenStore{{}, {loads: true}} {
		d := newDevice(t)
		driver := ftd.New()
		opened, err := driver.Open(provider.Config{
			Name: "edge", Address: d.Address(), Sessions: store, Clock: d.clock,
			Fields: &framework.FieldData{Raw: d.fields, Schema: driver.ConfigFields()},
		})
		require.NoError(t, err)
		t.Cleanup(opened.Close)
		_, err = rotate(t, d, opened.(connection))
		requireClass(t, provider.ClassUnavailable, err)
		assert.Zero(t, d.changes())
	}
}
