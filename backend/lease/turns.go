package lease

import (
	"context"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// turns lets the renewals of one lease follow each other: two at the same time, such as a client's and its
// repetition after a timeout, could otherwise undo each other at the vendor. A caller that waits gives up with its
// context. Nothing but another renewal of the same lease ever waits.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{}
}

// take waits for the turn of an entry. The caller must call release. The error is ClassUnavailable.
func (t *turns) take(ctx context.Context, entryID string) (release func(), err error) {
	for {
		t.mu.Lock()
		before, waiting := t.taken[entryID]
		if !waiting {
			mine := make(chan struct{})
			if t.taken == nil {
				t.taken = make(map[string]chan struct{})
			}
			t.taken[entryID] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.taken, entryID)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, &provider.Error{
				Class: provider.ClassUnavailable, Message: "the caller gave up while another renewal of the lease was running", Err: ctx.Err(),
			}
		}
	}
}
