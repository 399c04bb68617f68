package ftd_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestSession_RefreshedBeforeItEnds(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(1730 * time.Second) // of 1800; at least a minute is left
	issue(t, c, "va-2")
	assert.Zero(t, d.Requested("refresh_token"))
	d.clock.Advance(20 * time.Second)
	issue(t, c, "va-3")
	assert.Equal(t, 1, d.Requested("refresh_token"))
	assert.Equal(t, 1, d.Requested("password"))
	assert.Equal(t, 1, d.Live(emulator.KindLogin))
}

func TestSession_RefusedRefresh_BecomesOneLogin(t *testing.T) {
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

func TestSession_LostRefresh_IsUnavailableAndMakesNoLogin(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(1790 * time.Second)
	d.InjectFault(emulator.Fault{Route: "refresh_token", DropAfter: true, Times: 1})
	_, err := c.Issue(t.Context(), request("va-2"))
	requireClass(t, provider.ClassUnavailable, err)
	assert.Equal(t, 1, d.Requested("password"))
	// The used refresh token is refused now, and a login takes its place.
	issue(t, c, "va-3")
	assert.Equal(t, 2, d.Requested("password"))
}

func TestSession_WithoutRefreshToken_IsReplacedByALogin(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Body: new(`{"access_token":"acc"}`), Times: 1})
	d.InjectFault(emulator.Fault{Route: "custom_token", Body: new(`{"access_token":"leased","expires_in":3600}`), Times: 1})
	d.InjectFault(emulator.Fault{Route: listing, Status: 403})
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(1700 * time.Second) // within the documented life of a login, which the answer did not state
	assert.Equal(t, 1, d.Requested("password"))
	d.clock.Advance(90 * time.Second)
	issue(t, c, "va-2")
	assert.Equal(t, 2, d.Requested("password"))
	assert.Zero(t, d.Requested("refresh_token"))
}

func TestSession_HundredCallersShareOneLogin(t *testing.T) {
	for name, prepare := range map[string]func(d *device, c connection){
		"at first":         func(*device, connection) {},
		"after its expiry": func(d *device, _ connection) { d.clock.Advance(time.Hour) },
		"after its eviction": func(d *device, _ connection) {
			d.Set("session_limit", "5")
			d.evictLogin()
			d.Set("session_limit", "0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			d.Set("session_limit", "0")
			c := d.open()
			if name != "at first" {
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

func TestSession_CallerWhoGivesUpCostsTheOthersNothing(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Delay: 200 * time.Millisecond})
	c := d.open()
	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.Issue(impatient, request("va-1"))
		first <- err
	}()
	require.Eventually(t, func() bool { return d.Requested("password") == 1 }, 5*time.Second, time.Millisecond)
	cancel()
	failure := requireClass(t, provider.ClassUnavailable, <-first)
	require.ErrorIs(t, failure, context.Canceled)
	issue(t, c, "va-2")
	assert.Equal(t, 1, d.Requested("password"), "the login that was under way is used")
}

func TestSession_WrongPasswordIsRememberedForAWhile(t *testing.T) {
	d := newDevice(t)
	d.fields["password"] = "wrong"
	c := d.open()
	for range 3 {
		_, err := c.Issue(t.Context(), request("va-1"))
		failure := requireClass(t, provider.ClassUnauthenticated, err)
		assert.Equal(t, 30*time.Second, failure.RetryAfter)
		assert.Contains(t, failure.Remedy, "config/edge")
	}
	assert.Equal(t, 1, d.Requested("password"))
	d.clock.Advance(20 * time.Second)
	_, err := c.Issue(t.Context(), request("va-1"))
	assert.Equal(t, 10*time.Second, provider.RetryAfterOf(err))
	d.clock.Advance(10 * time.Second)
	_, err = c.Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnauthenticated, err)
	assert.Equal(t, 2, d.Requested("password"))
	// It is this connection's memory: a config that was written anew is tried at once.
	_, err = d.open().Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnauthenticated, err)
	assert.Equal(t, 3, d.Requested("password"))
}

// Each lost login may hold one of the device's sessions, so they must become rarer.
func TestSession_LostLogins_BecomeRarer(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", DropAfter: true})
	c := d.open()
	for try, pause := range []time.Duration{30, 60, 120, 240, 480, 600, 600} {
		_, err := c.Issue(t.Context(), request("va-1"))
		failure := requireClass(t, provider.ClassUnavailable, err)
		assert.Equal(t, pause*time.Second, failure.RetryAfter)
		assert.Equal(t, try+1, d.Requested("password"))
		d.clock.Advance(pause*time.Second - time.Second)
		_, err = c.Issue(t.Context(), request("va-1"))
		requireClass(t, provider.ClassUnavailable, err)
		assert.Equal(t, try+1, d.Requested("password"), "not before the pause is over")
		d.clock.Advance(time.Second)
	}
	d.EndFaults()
	d.clock.Advance(time.Hour) // until the device has forgotten the lost ones
	issue(t, c, "va-2")
}

func TestSession_UnreachableDeviceIsAskedAgainAtOnce(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Status: 503, Times: 1})
	c := d.open()
	_, err := c.Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnavailable, err)
	issue(t, c, "va-1")
}

func TestSession_StoredOneIsUsedAfterARestart(t *testing.T) {
	d := newDevice(t)
	first := d.open()
	issue(t, first, "va-1")
	first.Close()
	issue(t, d.open(), "va-2")
	assert.Equal(t, 1, d.Requested("password"))

	var stored map[string]any
	require.NoError(t, json.Unmarshal(d.sessions.Saved(), &stored))
	assert.NotContains(t, string(d.sessions.Saved()), d.fields["password"])
	assert.EqualValues(t, 1, stored["v"])
}

func TestSession_StoredOneOfAnotherIsNotUsed(t *testing.T) {
	for name, change := range map[string]func(stored map[string]any){
		"device":  func(stored map[string]any) { stored["address"] = "https://other.example" },
		"user":    func(stored map[string]any) { stored["username"] = "other" },
		"version": func(stored map[string]any) { stored["v"] = 2 },
		"nothing": func(stored map[string]any) { delete(stored, "access_token") },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDevice(t)
			issue(t, d.open(), "va-1")
			var stored map[string]any
			require.NoError(t, json.Unmarshal(d.sessions.Saved(), &stored))
			change(stored)
			content, err := json.Marshal(stored)
			require.NoError(t, err)
			d.sessions.Put(content)
			issue(t, d.open(), "va-2")
			assert.Equal(t, 2, d.Requested("password"))
		})
	}
	t.Run("garbage", func(t *testing.T) {
		d := newDevice(t)
		d.sessions.Put([]byte("garbage"))
		issue(t, d.open(), "va-1")
	})
}

func TestSession_StoreThatCannotBeRead_MakesNoLogin(t *testing.T) {
	d := newDevice(t)
	d.sessions.Fail(errors.New("storage is sealed"))
	_, err := d.open().Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnavailable, err)
	assert.Zero(t, d.Requested("password"))
}

func TestSession_StoreThatCannotBeWritten_IsNoReasonToFail(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(time.Hour)
	d.sessions.Fail(errors.New("storage is read-only"))
	issue(t, c, "va-2")
	assert.Contains(t, d.log.String(), "could not be stored")
}

func TestClose_EndsARefreshableLoginToo(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	issue(t, c, "va-1")
	d.clock.Advance(2000 * time.Second) // the access token has ended, the refresh token has not
	require.NoError(t, c.Logout(t.Context()))
	assert.Zero(t, d.Live(emulator.KindLogin))
	assert.Equal(t, 1, d.Requested("password"))
}

func TestClose_OfALoginThatIsGone_Succeeds(t *testing.T) {
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

func TestClose_WaitsForALoginUnderWay(t *testing.T) {
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
	assert.Zero(t, d.Live(emulator.KindLogin), "the login that nobody waited for is not left behind")
	assert.Empty(t, d.sessions.Saved())
}

func TestClose_NoLoginAfterwards(t *testing.T) {
	d := newDevice(t)
	c := d.open()
	require.NoError(t, c.Logout(t.Context()))
	_, err := c.Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnavailable, err)
	assert.Zero(t, d.Requested("password"))
}
