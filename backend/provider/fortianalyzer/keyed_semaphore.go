package fortianalyzer

import (
	"context"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// gateKey names what is let through one at a time.
type gateKey struct{ authAddress, username, clientID string }

// keyedSemaphore let one caller at a time through for each key, and the others wait no longer than their context. The
// zero value is ready to use. Safe for concurrent use.
type keyedSemaphore struct {
	mu    sync.Mutex
	byKey map[gateKey]*semaphore
}

// semaphore has room for one.
type semaphore struct {
	room  chan struct{}
	users int // who hold it or wait for it; guarded by gates.mu
}

// acquire waits until the gate is free, and returns the function that frees it again.
func (g *keyedSemaphore) acquire(ctx context.Context, key gateKey) (leave func(), err error) {
	entered := g.retain(key)
	select {
	case entered.room <- struct{}{}:
		return func() {
			<-entered.room
			g.release(key, entered)
		}, nil
	case <-ctx.Done():
		g.release(key, entered)
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opToken,
			Message: "nothing was sent: the caller's time was up while another login of the same API user was under way",
			Remedy:  "logins of one API user are made one after the other; use several API users if that is too slow",
			Err:     ctx.Err(),
		}
	}
}

// retain counts a caller in.
func (g *keyedSemaphore) retain(key gateKey) *semaphore {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.byKey == nil {
		g.byKey = map[gateKey]*semaphore{}
	}
	found := g.byKey[key]
	if found == nil {
		found = &semaphore{room: make(chan struct{}, 1)}
		g.byKey[key] = found
	}
	found.users++
	return found
}

// release counts a caller out. The last one takes the gate away.
func (g *keyedSemaphore) release(key gateKey, left *semaphore) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left.users--
	if left.users == 0 {
		delete(g.byKey, key)
	}
}
