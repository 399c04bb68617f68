package ftd_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestSessionCache_NearExpiry_RefreshesLogin(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(1730 * time.Second) // of 1800, so more than a minute remains
	issue(t, c, "va-2")
	assert.Zero(t, d.Requested("refresh_token"))
	d.clock.Advance(20 * time.Second)
	issue(t, c, "va-3")
	assert.Equal(t, 1, d.Requested("refresh_token"))
	assert.Equal(t, 1, d.Requested("password"))
	assert.Equal(t, 1, d.Live(emulator.KindLogin))
}

func TestSessionCache_RefusedRefresh_LogsInOnce(t *testing.T) {
	for _, status := range []int{400, 401, 408} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			d := newDevice(t)
			c := d.open()
			issue(t, c, "va-1")
			d.clock.Advance(1790 * time.Second)
			d.InjectFault(emulator.Fault{Route: "refresh_token", Status: status})
			issue(t, c, "va-2")
			assert.Equal(t, 1, d.Requested("refresh_token"))
			assert.Equal(t, 2, d.Requested("password"))
		})
	}
}

func TestSessionCache_LostRefresh_IsUnavailable(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(1790 * time.Second)
	d.InjectFault(emulator.Fault{Route: "refresh_token", DropAfter: true, Times: 1})
	_, err := c.Issue(t.Context(), request("va-2"))
	requireClass(t, provider.ClassUnavailable, err)
	assert.Equal(t, 1, d.Requested("password"))
	// The device refuses the used refresh token, so the engine logs in.
	issue(t, c, "va-3")
	assert.Equal(t, 2, d.Requested("password"))
}

func TestSessionCache_NoRefreshToken_LogsInAgain(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Body: new(`{"access_token":"acc"}`), Times: 1})
	d.InjectFault(emulator.Fault{Route: "custom_token", Body: new(`{"access_token":"leased","expires_in":3600}`), Times: 1})
	d.InjectFault(emulator.Fault{Route: listing, Status: 403})
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(1700 * time.Second) // within the documented lifetime of a login, since the answer has none
	assert.Equal(t, 1, d.Requested("password"))
	d.clock.Advance(90 * time.Second)
	issue(t, c, "va-2")
	assert.Equal(t, 2, d.Requested("password"))
	assert.Zero(t, d.Requested("refresh_token"))
}

func TestSessionCache_HundredCallers_ShareOneLogin(t *testing.T) {
	for name, prepare := range map[string]func(d *device, c connection){
		"first use":    func(*device, connection) {},
		"after expiry": func(d *device, _ connection) { d.clock.Advance(time.Hour) },
		"after eviction": func(d *device, _ connection) {
			d.Set("session_limit", "5")
			d.evictLogin()
			d.Set("session_limit", "0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set("session_limit", "0", "custom_tokens_in_sessions", "no")
			c := d.open()
			if name != "first use" {
				issue(t, c, "va-0")
			}
			prepare(d, c)
			before := d.Requested("password")
			var group errgroup.Group
			for i := range 100 {
				group.Go(func() error {
					_, err := c.Issue(t.Context(), request("va-many-"+strconv.Itoa(i)))
					return err
				})
			}
			require.NoError(t, group.Wait())
			assert.Equal(t, before+1, d.Requested("password"))
		})
	}
}

func TestSessionCache_CanceledCaller_LoginContinues(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Delay: 200 * time.Millisecond})
	c := d.open()
	canceled, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.Issue(canceled, request("va-1"))
		first <- err
	}()
	require.Eventually(t, func() bool { return d.Requested("password") == 1 }, 5*time.Second, time.Millisecond)
	cancel()
	failure := requireClass(t, provider.ClassUnavailable, <-first)
	require.ErrorIs(t, failure, context.Canceled)
	issue(t, c, "va-2")
	assert.Equal(t, 1, d.Requested("password"), "the running login is used")
}

// The login runs in its own goroutine, where a panic would end the process.
func TestSessionCache_PanicDuringLogin_IsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		store  panickingStore
		logins int
	}{
		"before the login": {panickingStore{}, 0},
		"after the login":  {panickingStore{loads: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			opened := d.openWithStore(c.store)
			_, err := opened.Issue(t.Context(), request("va-1"))
			failure := requireClass(t, provider.ClassAmbiguous, err)
			assert.NotContains(t, failure.Error(), "index out of range")
			var reason *provider.PanicError
			require.ErrorAs(t, err, &reason)
			assert.Equal(t, "index out of range", reason.Reason)
			assert.Equal(t, c.logins, d.Live(emulator.KindLogin))
			if c.logins == 0 {
				_, err = opened.Check(t.Context())
				requireClass(t, provider.ClassAmbiguous, err)
			}
		})
	}
}
