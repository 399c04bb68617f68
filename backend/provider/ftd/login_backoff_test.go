package ftd_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

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
