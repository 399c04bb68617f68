package ftd_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestLogout_RefreshableLogin_IsEnded(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(2000 * time.Second) // the access token has ended, the refresh token has not
	require.NoError(t, c.Logout(t.Context()))
	assert.Zero(t, d.Live(emulator.KindLogin))
	assert.Equal(t, 1, d.Requested("password"))
}

func TestLogout_EndedLogin_Succeeds(t *testing.T) {
	for name, end := range map[string]func(d *device){
		"evicted": func(d *device) { d.evictLogin() },
		"expired": func(d *device) { d.clock.Advance(time.Hour) },
		"refresh refused": func(d *device) {
			d.evictLogin()
			d.clock.Advance(2000 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			issue(t, c, "va-1")
			end(d)
			require.NoError(t, c.Logout(t.Context()))
			assert.Empty(t, d.sessions.Saved())
			assert.Equal(t, 1, d.Requested("password"))
		})
	}
}

func TestLogout_RunningLogin_IsAwaitedAndEnded(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Delay: 200 * time.Millisecond})
	c := d.open()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := c.Issue(ctx, request("va-1"))
		done <- err
	}()
	require.Eventually(t, func() bool { return d.Requested("password") == 1 }, 5*time.Second, time.Millisecond)
	cancel()
	require.Error(t, <-done)
	require.NoError(t, c.Logout(t.Context()))
	assert.Equal(t, 1, d.Requested("password"))
	assert.Zero(t, d.Live(emulator.KindLogin), "the login of a canceled caller is ended too")
	assert.Empty(t, d.sessions.Saved())
}

func TestLogout_NextIssue_MakesNoLogin(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	require.NoError(t, c.Logout(t.Context()))
	_, err := c.Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnavailable, err)
	assert.Zero(t, d.Requested("password"))
}

// That one token of a pair ends with the other is not documented.
func TestLogout_TokensEndSeparately_EndsBoth(t *testing.T) {
	d := newDevice(t)
	d.Set("revoke_token", "token")
	var revoked []string
	d.useProxy(func(_ *http.Request, body []byte) {
		var grant struct {
			Token string `json:"token_to_revoke"`
		}
		if json.Unmarshal(body, &grant) == nil && grant.Token != "" {
			revoked = append(revoked, grant.Token)
		}
	}, nil)
	c := d.open()
	issue(t, c, "va-1")
	var stored map[string]any
	require.NoError(t, json.Unmarshal(d.sessions.Saved(), &stored))
	require.NoError(t, c.Logout(t.Context()))
	assert.Equal(t, []string{stored["refresh_token"].(string), stored["access_token"].(string)}, revoked)
	assert.Zero(t, d.Live(emulator.KindLogin))
}

func TestLogout_NoRefreshToken_RevokesAccessToken(t *testing.T) {
	d := newDevice(t)
	d.changeLogin(map[string]any{"refresh_token": nil, "refresh_expires_in": nil})
	c := d.open()
	issue(t, c, "va-1")
	require.NoError(t, c.Logout(t.Context()))
	assert.Equal(t, 1, d.Requested("revoke_token"))
	assert.Zero(t, d.Live(emulator.KindLogin))
}
