package pool

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Conn is an open connection with a count of the callers that use it. It is safe for concurrent use.
type Conn struct {
	provider.Connection
	connectionID string
	breaker      *gobreaker.CircuitBreaker[struct{}]

	mu      sync.Mutex
	users   int
	retired bool
	// end closes the connection, or logs out, when the last user of a retired connection leaves.
	end func(provider.Connection)

	// retryError is the vendor's last refusal with a Retry-After, and retryAt is when that ends.
	retryError *provider.Error
	retryAt    time.Time

	// idle is closed when the next user leaves, if a caller waits for that.
	idle chan struct{}
	// yield is closed while a caller waits for exclusive use.
	yield chan struct{}
	// authFailed is set once the vendor has rejected the root credential.
	authFailed bool
}

// Retain counts one more user, who must call Release. It reports false when the connection is retired.
func (c *Conn) Retain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired {
		return false
	}
	c.users++
	return true
}

// Release counts one user less. The last user of a retired connection closes it.
func (c *Conn) Release() {
	c.mu.Lock()
	c.users--
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
	last := c.retired && c.users == 0
	c.mu.Unlock()
	if last {
		c.end(c.Connection)
	}
}

// Users is how many callers use the connection at the moment.
func (c *Conn) Users() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users
}

// retire calls end with the connection, now or when its last user leaves.
func (c *Conn) retire(end func(provider.Connection)) {
	c.mu.Lock()
	if c.retired {
		c.mu.Unlock()
		return
	}
	c.retired, c.end = true, end
	c.requestYieldLocked() // otherwise waiting requests would resume on a closed login
	unused := c.users == 0
	c.mu.Unlock()
	if unused {
		end(c.Connection)
	}
}

// BackoffErr returns the vendor's last refusal while its Retry-After lasts, and nil otherwise.
func (c *Conn) BackoffErr(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retryError == nil || !now.Before(c.retryAt) {
		return nil
	}
	refusal := *c.retryError
	refusal.RetryAfter = c.retryAt.Sub(now)
	refusal.Err = ErrNotSent
	return &refusal
}

// Observe records what the error of a call means for the next calls: that the vendor has rejected the root
// credential, or has asked to back off (Retry-After). A nil error changes nothing.
func (c *Conn) Observe(err error, now time.Time) {
	c.RecordAuthFailure(err)
	refusal, ok := errors.AsType[*provider.Error](err)
	if !ok || refusal.RetryAfter <= 0 || !refusal.Class.Definite() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retryError, c.retryAt = refusal, now.Add(refusal.RetryAfter)
}

// RecordAuthFailure records that the vendor has rejected the root credential, if err says so.
func (c *Conn) RecordAuthFailure(err error) {
	if provider.ClassOf(err) != provider.ClassUnauthenticated {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.authFailed = true
}

// TakeAuthFailure reports whether the vendor has rejected the root credential since the last call.
func (c *Conn) TakeAuthFailure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := c.authFailed
	c.authFailed = false
	return failed
}
