package ftd

import (
	"errors"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// refusedBackoff is the time for which a refused login is remembered, so that a thousand readers with a wrong
	// password make one attempt and do not lock the account.
	refusedBackoff = 30 * time.Second

	// maxLostBackoff limits the back-off after logins whose answer was lost. Each of them may use one of the device's
	// five sessions until the login expires, so the back-off starts at refusedBackoff and doubles.
	maxLostBackoff = 10 * time.Minute
)

// observeLoginError sets the class of a failed login. It remembers the failure if another login at once could do harm.
func (c *sessionCache) observeLoginError(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	now := c.clock.Now()
	switch {
	case failure.Class == provider.ClassRateLimited:
		// This includes "Too many failed attempts", whatever its status: it is no refusal of the password.
		c.refusedLogins.Hold(failure, now) // only as long as the device asks
	case httpclient.StatusOf(err) == http.StatusBadRequest:
		// Documented: the device answers a wrong user name or password with 400, not with 401.
		failure.Class = provider.ClassUnauthenticated
		failure.Remedy = "check username and password in config/" + c.api.config
		c.refusedLogins.Observe(failure, now)
	case failure.Class == provider.ClassUnauthenticated, failure.Class == provider.ClassForbidden:
		c.refusedLogins.Observe(failure, now)
	case failure.Class == provider.ClassAmbiguous:
		// The operation that needs the login has not started, so its outcome is known. But the device may have opened
		// a session whose token is lost.
		failure.Class = provider.ClassUnavailable
		failure.Remedy = "the device may hold one of its sessions for this login until it expires"
		c.lostLogins.Observe(failure, now)
	}
	return failure
}

// checkLoginAllowed returns an error if the connection is closed, and the remembered failure during its back-off.
func (c *sessionCache) checkLoginAllowed() error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return &provider.Error{Class: provider.ClassUnavailable, Op: opLogin, Message: "the connection is closed", Err: provider.ErrNotSent}
	}
	now := c.clock.Now()
	if err := c.refusedLogins.Err(now); err != nil {
		return err
	}
	return c.lostLogins.Err(now)
}
