package ftd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestLoginBackoff_WrongPassword_IsRemembered(t *testing.T) {
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
	// The back-off belongs to this connection: a config that was written again is tried at once.
	_, err = d.open().Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnauthenticated, err)
	assert.Equal(t, 3, d.Requested("password"))
}

// Each lost login may use one of the device's sessions, so the back-off grows.
func TestLoginBackoff_LostLogins_DoubleTheBackoff(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", DropAfter: true})
	c := d.open()
	for try, backoff := range []time.Duration{30, 60, 120, 240, 480, 600, 600} {
		_, err := c.Issue(t.Context(), request("va-1"))
		failure := requireClass(t, provider.ClassUnavailable, err)
		assert.Equal(t, backoff*time.Second, failure.RetryAfter)
		assert.Equal(t, try+1, d.Requested("password"))
		d.clock.Advance(backoff*time.Second - time.Second)
		_, err = c.Issue(t.Context(), request("va-1"))
		requireClass(t, provider.ClassUnavailable, err)
		assert.Equal(t, try+1, d.Requested("password"), "no login before the back-off ends")
		d.clock.Advance(time.Second)
	}
	d.EndFaults()
	d.clock.Advance(time.Hour) // until the lost logins have expired
	issue(t, c, "va-2")
}

func TestLoginBackoff_UnavailableDevice_IsNotRemembered(t *testing.T) {
	d := newDevice(t)
	d.InjectFault(emulator.Fault{Route: "password", Status: 503, Times: 1})
	c := d.open()
	_, err := c.Issue(t.Context(), request("va-1"))
	requireClass(t, provider.ClassUnavailable, err)
	issue(t, c, "va-1")
}

// After wrong passwords the device refuses every login for a while, also with the right password.
func TestLoginBackoff_TooManyAttempts_IsRateLimit(t *testing.T) {
	for message, status := range map[string]int{
		"Too many failed attempts. Try again later.": 400, "Too many failed attempts": 400, "TOO MANY failed attempts.": 401,
	} {
		d := newDevice(t)
		c := d.open()
		credential := issue(t, c, "va-1")
		d.InjectFault(emulator.Fault{Route: "password", Status: status, Body: new(`{"status_code":400,"message":"` + message + `"}`)})
		failing := d.openWithStore(nil)
		for range 2 {
			_, err := failing.Issue(t.Context(), request("va-2"))
			failure := requireClass(t, provider.ClassRateLimited, err)
			assert.Equal(t, time.Minute, failure.RetryAfter)
			assert.NotContains(t, failure.Error(), "check username and password")
		}
		assert.Equal(t, 2, d.Requested("password"))
		_, err := failing.Renew(t.Context(), credential.Handle, time.Hour)
		require.NoError(t, err, "a renewal uses the token itself")
		require.NoError(t, c.Revoke(t.Context(), credential.Handle), "the live login is used")
		d.EndFaults()
		d.clock.Advance(time.Minute)
		issue(t, failing, "va-3")
	}
}

// A lockout that another client's wrong passwords began is no refusal of the engine's password.
func TestLoginBackoff_DeviceLocksLogins_Recovers(t *testing.T) {
	for _, status := range []string{"400", "401", "429"} {
		d := newDevice(t)
		d.Set("failed_attempts_status", status, "failed_attempts_until_lockout", "1")
		right := d.fields["password"]
		d.fields["password"] = "wrong"
		_, err := d.open().Issue(t.Context(), request("va-1"))
		requireClass(t, provider.ClassUnauthenticated, err)
		d.fields["password"] = right
		c := d.open()
		_, err = c.Issue(t.Context(), request("va-2"))
		failure := requireClass(t, provider.ClassRateLimited, err)
		assert.Equal(t, time.Minute, failure.RetryAfter)
		assert.NotContains(t, failure.Error(), "check username and password")
		d.clock.Advance(time.Minute)
		issue(t, c, "va-3")
	}
}

// A refused password stops neither renewals nor revocations that do not need it.
func TestLoginBackoff_LiveLogin_IsUsed(t *testing.T) {
	d := newDevice(t)
	d.Set("password_change_ends", "own_session")
	backoff := &provider.AuthBackoff{Initial: time.Hour}
	d.auth = sharedBackoff{backoff}
	c := d.open()
	first, second := issue(t, c, "va-1"), issue(t, c, "va-2")
	d.Act("change_password")
	_, err := d.openWithStore(nil).Issue(t.Context(), request("va-3"))
	requireClass(t, provider.ClassUnauthenticated, err)
	require.Error(t, backoff.Err(d.clock.Now()), "the refusal is remembered for the root credential")
	_, err = c.Renew(t.Context(), first.Handle, time.Hour)
	require.NoError(t, err)
	require.NoError(t, c.Revoke(t.Context(), first.Handle))
	d.clock.Advance(1790 * time.Second) // the login is refreshed without the password
	require.NoError(t, c.Revoke(t.Context(), second.Handle))
	assert.Equal(t, 2, d.Requested("password"))
}

// sharedBackoff is an [provider.AuthMemory] with one back-off.
type sharedBackoff struct{ backoff *provider.AuthBackoff }

// Backoff implements [provider.AuthMemory].
func (s sharedBackoff) Backoff(_, _ time.Duration) *provider.AuthBackoff { return s.backoff }
