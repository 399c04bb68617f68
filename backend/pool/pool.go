// Package pool keeps the connections to the vendors: one for each config, shared by all requests and counted.
// It is the one way to obtain a connection and the one way to call a vendor on behalf of a credential, so that
// circuit breaking, Retry-After, metrics and the handling of panics happen in one place.
package pool

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// logoutTimeout bounds the logout of a connection that is replaced.
const logoutTimeout = 30 * time.Second

// Pool keeps one connection for each config. It is safe for concurrent use. Opening a connection makes no
// network call, so the lock may be held while that happens.
type Pool struct {
	// Metrics counts the calls to vendors.
	Metrics *Metrics

	options  Options
	breakers *breakers
	auth     *authMemory
	// openFunc is Open, unless a test replaces it.
	openFunc func(storage logical.Storage, name string, entry *store.Config) (provider.Connection, error)

	mu   sync.Mutex
	open map[string]*Conn
	// exclusive holds the configs whose connection one caller has to itself; see AcquireExclusive. The channel
	// is closed when the caller releases it.
	exclusive map[string]chan struct{}
}

// New returns a pool without connections.
func New(options Options) *Pool {
	p := &Pool{
		Metrics: newMetrics(), options: options,
		breakers: newBreakers(options.BreakerPause), auth: newAuthMemory(options.Clock, options.Providers),
		open: make(map[string]*Conn), exclusive: make(map[string]chan struct{}),
	}
	p.openFunc = p.Open
	return p
}

// Acquire returns the connection of a config and opens it if necessary. The caller must release it. Acquire
// ignores that another caller may have the connection to itself; see TryAcquire.
func (p *Pool) Acquire(storage logical.Storage, name string, entry *store.Config) (*Conn, error) {
	p.mu.Lock()
	return p.acquireLocked(storage, name, entry)
}

// acquireLocked is Acquire for a caller that holds the lock. It releases the lock.
func (p *Pool) acquireLocked(storage logical.Storage, name string, entry *store.Config) (*Conn, error) {
	current, ok := p.open[name]
	if ok && current.settings == settingsOf(entry) && current.Retain() {
		p.mu.Unlock()
		return current, nil
	}
	opened, err := p.openFunc(storage, name, entry)
	if err != nil {
		p.mu.Unlock()
		return nil, err
	}
	fresh := p.wrap(opened, entry, 1)
	p.open[name] = fresh
	p.mu.Unlock()
	if ok {
		// Another node has changed the config and ends the previous login, or the timeouts have changed and the
		// login goes on.
		current.retire(provider.Connection.Close)
	}
	return fresh, nil
}

func (p *Pool) wrap(opened provider.Connection, entry *store.Config, users int) *Conn {
	p.SetLimit(entry)
	return &Conn{
		Connection: opened, settings: settingsOf(entry), root: p.auth.rootOf(entry), users: users,
		backoffs: make(map[string]backoff), blocked: make(map[string]backoff), operations: newBreakers(p.options.BreakerPause), yield: make(chan struct{}),
	}
}

// Swap makes next the connection of a config that was just stored, and ends the login of the previous one. old
// is the config as it was before, or nil.
func (p *Pool) Swap(ctx context.Context, storage logical.Storage, name string, old, entry *store.Config, next provider.Connection) {
	if old != nil {
		// After a restart the previous login exists only in the session store. It can be ended once it is open.
		if previous, err := p.Acquire(storage, name, old); err == nil {
			previous.Release()
		}
	}
	p.mu.Lock()
	previous, ok := p.open[name]
	p.open[name] = p.wrap(next, entry, 0)
	p.mu.Unlock()
	if ok {
		previous.retire(p.logout(ctx, name))
	}
}

// Remove ends the login of a config's connection and forgets the connection.
func (p *Pool) Remove(ctx context.Context, name string) {
	if previous := p.take(name); previous != nil {
		previous.retire(p.logout(ctx, name))
	}
}

// Detach forgets a config's connection and leaves its login open for the next user of the session store.
func (p *Pool) Detach(name string) {
	if previous := p.take(name); previous != nil {
		previous.retire(provider.Connection.Close)
	}
}

// DetachAll forgets all connections and leaves their logins open.
func (p *Pool) DetachAll() {
	p.mu.Lock()
	all := p.open
	p.open = make(map[string]*Conn)
	p.mu.Unlock()
	for _, previous := range all {
		previous.retire(provider.Connection.Close)
	}
}

func (p *Pool) take(name string) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	previous := p.open[name]
	delete(p.open, name)
	return previous
}

// Logout ends the login of a connection that never became a config's.
func (p *Pool) Logout(ctx context.Context, name string, conn provider.Connection) {
	p.logout(ctx, name)(conn)
}

// logout returns a function that ends a login. It can run after the request, when the connection's last user
// leaves. Its context is detached from the request's: a client that hangs up must not leave a login behind.
func (p *Pool) logout(ctx context.Context, name string) func(provider.Connection) {
	detached := context.WithoutCancel(ctx)
	return func(conn provider.Connection) {
		bounded, cancel := context.WithTimeout(detached, logoutTimeout)
		defer cancel()
		if err := conn.Logout(bounded); err != nil {
			p.options.Logger().Warn("the engine's login could not be ended; it ends by itself", "config", name, "error", err)
		}
	}
}
