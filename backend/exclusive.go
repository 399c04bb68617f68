package backend

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// tryAcquire is acquire for requests that come and go. While somebody has seized the connection, it returns a channel
// that is closed afterwards instead, and the config may be another one then.
func (c *connections) tryAcquire(storage logical.Storage, name string, entry *configEntry) (*connection, <-chan struct{}, error) {
	c.mu.Lock()
	if freed, seized := c.exclusive[name]; seized {
		c.mu.Unlock()
		return nil, freed, nil
	}
	conn, err := c.acquireLocked(storage, name, entry)
	return conn, nil, err
}

// isExclusive reports whether somebody has a config's connection to himself.
func (c *connections) isExclusive(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, seized := c.exclusive[name]
	return seized
}

// acquireExclusive gives the caller a config's connection to itself, for what the vendor does not let happen beside anything else:
// requests under way are waited for, and new ones wait until free is called. The caller must call it.
func (c *connections) acquireExclusive(ctx context.Context, storage logical.Storage, name string, entry *configEntry) (conn *connection, free func(), err error) {
	c.mu.Lock()
	if _, seized := c.exclusive[name]; seized {
		c.mu.Unlock()
		return nil, nil, errRotationInProgress
	}
	freed := make(chan struct{})
	c.exclusive[name] = freed
	conn, err = c.acquireLocked(storage, name, entry)
	unmark := func() {
		c.mu.Lock()
		delete(c.exclusive, name)
		c.mu.Unlock()
		close(freed)
	}
	if err != nil {
		unmark()
		return nil, nil, err
	}
	conn.requestYield()
	free = sync.OnceFunc(func() {
		defer unmark() // also when a driver panics while it is closed
		conn.resume()
		conn.release()
	})
	if err := conn.waitIdle(ctx); err != nil {
		free()
		return nil, nil, err
	}
	return conn, free, nil
}

// errPreempted is for a request that waits for a free credential when the connection is seized: whoever holds the
// credentials could not return them meanwhile. It is to begin again.
var errPreempted = errors.New("the request gave way to a rotation of the root credential")

// yieldRequested returns a channel that is closed while somebody wants the connection to himself, or when it is retired.
func (c *connection) yieldRequested() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.yield
}

func (c *connection) requestYield() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requestYieldLocked()
}

// requestYieldLocked is demand with the lock held. A retired connection stays wanted.
func (c *connection) requestYieldLocked() {
	select {
	case <-c.yield:
	default:
		close(c.yield)
	}
}

func (c *connection) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.retired {
		c.yield = make(chan struct{})
	}
}

// waitIdle waits until the connection has one user, who is the caller.
func (c *connection) waitIdle(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.users == 1 {
			c.mu.Unlock()
			return nil
		}
		if c.idle == nil {
			c.idle = make(chan struct{})
		}
		left := c.idle
		c.mu.Unlock()
		select {
		case <-left:
		case <-ctx.Done():
			return &provider.Error{
				Class: provider.ClassUnavailable, Message: "other requests of the config are still under way", Remedy: "try again", Err: ctx.Err(),
			}
		}
	}
}
