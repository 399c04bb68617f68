// Package pool keeps the connections to the vendors: one for each config, shared by all requests and counted.
// It is the one way to obtain a connection and the one way to call a vendor on behalf of a credential, so that
// circuit breaking, Retry-After, metrics and the handling of panics happen in one place.
package pool

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/metrics"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// logoutTimeout bounds the logout of a connection that is replaced.
	logoutTimeout = 30 * time.Second

	// closeTimeout bounds how long Close waits for logouts, which end when their context does.
	closeTimeout = time.Second

	// storedTimeout bounds a look at the stored config after a write, which may outlast the write's request.
	storedTimeout = 10 * time.Second
)

// Pool keeps one connection for each config. It is safe for concurrent use. Opening a connection makes no
// network call, so the lock may be held while that happens.
type Pool struct {
	// Metrics counts what the mount does.
	Metrics *metrics.Metrics

	options  Options
	breakers *breakers
	auth     *authMemory
	pacers   *pacers
	// openFunc is Open, unless a test replaces it.
	openFunc func(storage logical.Storage, name string, entry *store.Config) (provider.Connection, error)

	// ctx is canceled by Close. Logouts run under it.
	ctx    context.Context //nolint:containedctx // the pool's own, not a request's
	cancel context.CancelFunc
	// logouts are the running ones.
	logouts *tasks

	mu   sync.Mutex
	open map[string]*Conn
	// exclusive holds the configs whose connection one caller has to itself; see AcquireExclusive. The channel
	// is closed when the caller releases it.
	exclusive map[string]chan struct{}
}

// New returns a pool without connections.
func New(options Options) *Pool {
	p := &Pool{
		Metrics: metrics.New(), options: options,
		breakers: newHostBreakers(options.BreakerPause), auth: newAuthMemory(options.Clock, options.Providers),
		pacers: newPacers(options.Clock),
		open:   make(map[string]*Conn), exclusive: make(map[string]chan struct{}), logouts: newTasks(),
	}
	p.openFunc = p.Open
	p.ctx, p.cancel = context.WithCancel(context.Background())
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
	fresh := p.wrap(name, opened, entry, 1)
	p.open[name] = fresh
	p.mu.Unlock()
	if ok {
		// Another node has changed the config and ends the previous login, or the timeouts have changed and the
		// login goes on.
		current.retire(p.close)
	}
	return fresh, nil
}

func (p *Pool) wrap(name string, opened provider.Connection, entry *store.Config, users int) *Conn {
	p.setLimit(name, entry)
	return &Conn{
		Connection: opened, settings: settingsOf(entry), root: p.auth.rootOf(entry), account: p.auth.accountOf(entry),
		config: name, users: users,
		backoffs: make(map[string]backoff), blocked: make(map[string]backoff),
		operations: newOperationBreakers(p.options.BreakerPause), hosts: make(map[string]struct{}), yield: make(chan struct{}),
	}
}

// Swap makes next the connection of a config that was just stored, and ends the login of the previous one: at once, in
// which case Swap waits for it until ctx ends, or when its last user leaves. old is the config as it was before, or nil.
// If another write has stored the config since then, Swap ends the login of next: two writes must not install their
// connections in another order than their configs.
func (p *Pool) Swap(ctx context.Context, storage logical.Storage, name string, old, entry *store.Config, next provider.Connection) {
	previous, swapped := p.swap(ctx, storage, name, old, entry, next)
	p.RefreshLimit(ctx, storage, name) // that of old, or of entry, may not be the stored one
	switch {
	case !swapped:
		p.Logout(ctx, name, next)
	case previous != nil:
		p.retire(ctx, name, previous)
	}
}

// swap is Swap without the end of a login. It returns the connection whose login must be ended, or nil, and reports whether
// next has become the config's.
func (p *Pool) swap(
	ctx context.Context, storage logical.Storage, name string, old, entry *store.Config, next provider.Connection,
) (previous *Conn, swapped bool) {
	// The look before the lock fills the config cache, so that the lock is not held while storage is read.
	if !p.isStored(ctx, storage, name, entry) {
		return nil, false
	}
	if old != nil {
		// After a restart the previous login exists only in the session store. It can be ended once it is open.
		if previous, err := p.Acquire(storage, name, old); err == nil {
			previous.Release()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isStored(ctx, storage, name, entry) {
		return nil, false
	}
	previous = p.open[name]
	p.open[name] = p.wrap(name, next, entry, 0)
	return previous, true
}

// isStored reports whether a config is still what is stored. The request that has stored it may have ended.
func (p *Pool) isStored(ctx context.Context, storage logical.Storage, name string, entry *store.Config) bool {
	if p.options.Stored == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storedTimeout)
	defer cancel()
	stored, err := p.options.Stored(ctx, storage, name)
	return err == nil && sameRevision(stored, entry)
}

// Remove ends the login of a config's connection and forgets the connection. Like Swap, it waits if that happens at
// once. The rate limit of the config counts no more.
func (p *Pool) Remove(ctx context.Context, name string) {
	p.pacers.forget(name)
	if previous := p.take(name); previous != nil {
		p.retire(ctx, name, previous)
	}
}

// Detach forgets a config's connection and leaves its login open for the next user of the session store. The rate limit of
// the config counts until a connection is opened again, or the worker finds that another node has deleted the config: without
// it, requests that wait could go ahead of another config's limit.
func (p *Pool) Detach(name string) {
	if previous := p.take(name); previous != nil {
		previous.retire(p.close)
	}
}

// DetachAll forgets all connections and leaves their logins open.
func (p *Pool) DetachAll() {
	p.mu.Lock()
	all := p.open
	p.open = make(map[string]*Conn)
	p.mu.Unlock()
	for _, previous := range all {
		previous.retire(p.close)
	}
}

// Close detaches all connections, and ends the logouts that still run. It returns after a second at the latest, also
// if a driver does not honour its context. The pool logs out no more afterwards.
func (p *Pool) Close() {
	p.DetachAll()
	p.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	p.AwaitLogouts(ctx)
}

// AwaitLogouts returns when no logout runs any more, or when the context ends.
func (p *Pool) AwaitLogouts(ctx context.Context) {
	select {
	case <-p.logouts.idle():
	case <-ctx.Done():
	}
}

func (p *Pool) take(name string) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	previous := p.open[name]
	delete(p.open, name)
	return previous
}

// Logout ends the login of a connection that never became a config's. It waits for that until ctx ends.
func (p *Pool) Logout(ctx context.Context, name string, conn provider.Connection) {
	p.await(ctx, p.startLogout(name, conn))
}

// retire ends the login of a connection that is not a config's any more, and waits for that until ctx ends, unless the
// connection has users.
func (p *Pool) retire(ctx context.Context, name string, previous *Conn) {
	var ended <-chan struct{}
	previous.retire(func(conn provider.Connection) { ended = p.startLogout(name, conn) })
	p.await(ctx, ended)
}

// await waits for a logout. A nil channel stands for none.
func (p *Pool) await(ctx context.Context, ended <-chan struct{}) {
	if ended == nil {
		return
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// startLogout ends a login in a goroutine of the pool: the request whose release or write ends it can be one that only
// reads a credential. A client that hangs up leaves no login behind. The channel is closed at the end.
func (p *Pool) startLogout(name string, conn provider.Connection) <-chan struct{} {
	return p.logouts.start(func() {
		bounded, cancel := context.WithTimeout(p.ctx, logoutTimeout)
		defer cancel()
		_, err := provider.CatchPanic("logout", func() (struct{}, error) { return struct{}{}, conn.Logout(bounded) })
		if err != nil {
			p.options.Logger().Warn("the engine's login could not be ended; it lives until it expires", "config", name, "error", err)
		}
	})
}

// close frees a connection, and leaves its login open.
func (p *Pool) close(conn provider.Connection) {
	_, err := provider.CatchPanic("close", func() (struct{}, error) { conn.Close(); return struct{}{}, nil })
	if err != nil {
		p.options.Logger().Error("a connection could not be closed", "error", err)
	}
}
