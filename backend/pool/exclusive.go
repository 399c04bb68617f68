package pool

import (
	"context"
	"net/http"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// ErrRotationInProgress refuses what cannot happen during a rotation of the root credential. Its status is 409.
var ErrRotationInProgress = logical.CodedError(http.StatusConflict, "the root credential of this config is being rotated at the moment; try again")

// TryAcquire is Acquire, except while another caller has the connection to itself: then it returns a channel
// that is closed when that ends. The config may have changed by then.
func (p *Pool) TryAcquire(storage logical.Storage, name string, entry *store.Config) (*Conn, <-chan struct{}, error) {
	p.mu.Lock()
	if released, taken := p.exclusive[name]; taken {
		p.mu.Unlock()
		return nil, released, nil
	}
	conn, err := p.acquireLocked(storage, name, entry)
	return conn, nil, err
}

// IsExclusive reports whether a caller has a config's connection to itself.
func (p *Pool) IsExclusive(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, taken := p.exclusive[name]
	return taken
}

// AcquireExclusive gives the caller a config's connection to itself, for work that must not overlap with any
// other. It waits for running requests, and new ones wait until the caller calls release, which it must. It
// fails with ErrRotationInProgress while another caller has the connection to itself.
func (p *Pool) AcquireExclusive(ctx context.Context, storage logical.Storage, name string, entry *store.Config) (conn *Conn, release func(), err error) {
	p.mu.Lock()
	if _, taken := p.exclusive[name]; taken {
		p.mu.Unlock()
		return nil, nil, ErrRotationInProgress
	}
	released := make(chan struct{})
	p.exclusive[name] = released
	conn, err = p.acquireLocked(storage, name, entry)
	unmark := func() {
		p.mu.Lock()
		delete(p.exclusive, name)
		p.mu.Unlock()
		close(released)
	}
	if err != nil {
		unmark()
		return nil, nil, err
	}
	conn.requestYield()
	release = sync.OnceFunc(func() {
		defer unmark()
		conn.resume()
		conn.Release()
	})
	if err := conn.waitIdle(ctx); err != nil {
		release()
		return nil, nil, err
	}
	return conn, release, nil
}

// YieldRequested returns a channel that is closed while a caller waits for exclusive use, or when the
// connection is retired. A request that waits for a slot must give up then, and start over: no slot can be
// freed until the exclusive use ends.
func (c *Conn) YieldRequested() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.yield
}

func (c *Conn) requestYield() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requestYieldLocked()
}

// requestYieldLocked is requestYield for a caller that holds the lock.
func (c *Conn) requestYieldLocked() {
	select {
	case <-c.yield:
	default:
		close(c.yield)
	}
}

// resume ends the request to yield. On a retired connection it stays.
func (c *Conn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.retired {
		c.yield = make(chan struct{})
	}
}

// waitIdle waits until the caller is the connection's only user.
func (c *Conn) waitIdle(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.users == 1 {
			c.mu.Unlock()
			return nil
		}
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		idle := c.idle
		c.mu.Unlock()
		select {
		case <-idle:
		case <-ctx.Done():
			return &provider.Error{
				Class: provider.ClassUnavailable, Message: "other requests of the config are still running", Remedy: "try again", Err: ctx.Err(),
			}
		}
	}
}
