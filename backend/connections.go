package backend

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/sony/gobreaker/v2"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// closeTimeout bounds the logout of a connection that is replaced.
const closeTimeout = 30 * time.Second

// connection is an open provider.Connection with a count of the requests that use it.
type connection struct {
	provider.Connection
	connectionID string
	breaker      *gobreaker.CircuitBreaker[struct{}]

	mu      sync.Mutex
	users   int
	retired bool
	close   func(provider.Connection)

	// retryError and until hold a vendor's wish to be left alone.
	retryError *provider.Error
	retryAt    time.Time

	// idle is closed when the next user leaves, if somebody waits for that.
	idle chan struct{}
	// yield is closed while somebody wants the connection to himself.
	yield chan struct{}
	// authFailed is set once the vendor has refused the root credential.
	authFailed bool
}

// retain counts a user in. It fails once the connection is retired and unused, that is, closed.
func (c *connection) retain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired {
		return false
	}
	c.users++
	return true
}

// release counts a user out. The last one to leave a retired connection closes it.
func (c *connection) release() {
	c.mu.Lock()
	c.users--
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
	last := c.retired && c.users == 0
	c.mu.Unlock()
	if last {
		c.close(c.Connection)
	}
}

// retire closes the connection, at once or when its last user has left.
func (c *connection) retire(closeWith func(provider.Connection)) {
	c.mu.Lock()
	if c.retired {
		c.mu.Unlock()
		return
	}
	c.retired, c.close = true, closeWith
	c.requestYieldLocked() // who waits for a credential would meet a login that is over
	unused := c.users == 0
	c.mu.Unlock()
	if unused {
		closeWith(c.Connection)
	}
}

// backoffErr returns the vendor's refusal while its wish to be left alone lasts.
func (c *connection) backoffErr(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retryError == nil || !now.Before(c.retryAt) {
		return nil
	}
	refusal := *c.retryError
	refusal.RetryAfter = c.retryAt.Sub(now)
	refusal.Err = errNotSent
	return &refusal
}

// observe remembers what a failed call says about the next ones: that the vendor has refused the root credential, or
// wishes to be left alone.
func (c *connection) observe(err error, now time.Time) {
	c.recordAuthFailure(err)
	refusal, ok := errors.AsType[*provider.Error](err)
	if !ok || refusal.RetryAfter <= 0 || !refusal.Class.Definite() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retryError, c.retryAt = refusal, now.Add(refusal.RetryAfter)
}

// recordAuthFailure remembers that the vendor has refused the root credential.
func (c *connection) recordAuthFailure(err error) {
	if provider.ClassOf(err) != provider.ClassUnauthenticated {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.authFailed = true
}

// takeAuthFailure reports whether the vendor has refused the root credential, and forgets it.
func (c *connection) takeAuthFailure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.authFailed
	c.authFailed = false
	return was
}

// openFunc opens a connection for a stored config.
type openFunc func(storage logical.Storage, name string, entry *configEntry) (provider.Connection, error)

// connections keeps one connection per config. Opening makes no network call, so the lock may be
// held across it.
type connections struct {
	openFunc     openFunc
	breakerPause time.Duration

	mu   sync.Mutex
	open map[string]*connection
	// exclusive are the configs whose connection one request has to itself; see seize.
	exclusive map[string]chan struct{}
}

func newConnections(openFunc openFunc, breakerPause time.Duration) *connections {
	return &connections{
		openFunc: openFunc, breakerPause: breakerPause,
		open: make(map[string]*connection), exclusive: make(map[string]chan struct{}),
	}
}

func (c *connections) wrap(opened provider.Connection, generation string, users int) *connection {
	return &connection{
		Connection: opened, connectionID: generation, users: users, breaker: newBreaker(c.breakerPause), yield: make(chan struct{}),
	}
}

// acquire returns the connection of a config, opening it if need be. The caller must release it.
// It does not ask whether somebody has seized it.
func (c *connections) acquire(storage logical.Storage, name string, entry *configEntry) (*connection, error) {
	c.mu.Lock()
	return c.acquireLocked(storage, name, entry)
}

// acquireLocked is acquire with the lock held, which it releases.
func (c *connections) acquireLocked(storage logical.Storage, name string, entry *configEntry) (*connection, error) {
	current, ok := c.open[name]
	if ok && current.connectionID == entry.ConnectionID && current.retain() {
		c.mu.Unlock()
		return current, nil
	}
	opened, err := c.openFunc(storage, name, entry)
	if err != nil {
		c.mu.Unlock()
		return nil, err
	}
	fresh := c.wrap(opened, entry.ConnectionID, 1)
	c.open[name] = fresh
	c.mu.Unlock()
	if ok {
		// The config was changed by another node, which has closed the old login or will.
		current.retire(provider.Connection.Close)
	}
	return fresh, nil
}

// swap makes an already verified connection the one of its config, and logs the old one out.
func (c *connections) swap(ctx context.Context, name, generation string, verified provider.Connection, report func(error)) {
	c.mu.Lock()
	old, ok := c.open[name]
	c.open[name] = c.wrap(verified, generation, 0)
	c.mu.Unlock()
	if ok {
		old.retire(logout(ctx, report))
	}
}

// remove logs a config's connection out and forgets it.
func (c *connections) remove(ctx context.Context, name string, report func(error)) {
	c.mu.Lock()
	old, ok := c.open[name]
	delete(c.open, name)
	c.mu.Unlock()
	if ok {
		old.retire(logout(ctx, report))
	}
}

// detach forgets a config's connection and leaves its login to whoever goes on with it.
func (c *connections) detach(name string) {
	c.mu.Lock()
	old, ok := c.open[name]
	delete(c.open, name)
	c.mu.Unlock()
	if ok {
		old.retire(provider.Connection.Close)
	}
}

// detachAll forgets all connections.
func (c *connections) detachAll() {
	c.mu.Lock()
	all := c.open
	c.open = make(map[string]*connection)
	c.mu.Unlock()
	for _, old := range all {
		old.retire(provider.Connection.Close)
	}
}

// logout returns a closing function whose context is detached from the request's: a client that hangs
// up must not leave a login behind.
func logout(ctx context.Context, report func(error)) func(provider.Connection) {
	detached := context.WithoutCancel(ctx)
	return func(conn provider.Connection) {
		bounded, cancel := context.WithTimeout(detached, closeTimeout)
		defer cancel()
		if err := conn.Logout(bounded); err != nil {
			report(err)
		}
	}
}
