package ledger

import (
	"context"
	"errors"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"
)

// Waiter is a place in the queue of the requests that wait for a slot of a config. A slot that becomes free is given to
// the first of them that may take it, in the order of their arrival; a request that does not wait never overtakes them.
// A request that only its role's limit refuses does not delay those of other roles.
type Waiter struct {
	ledger *Ledger
	index  *index
	intent Intent
	ready  chan struct{}

	// The index guards these fields.
	entry *Entry
	err   error
}

// MaxWaiters bounds the requests of a config that wait at the same time. Each slot that becomes free, and each request that
// asks again, looks at all of them: without a bound, the readers of one role could use the processor of the server.
const MaxWaiters = 1000

// Wait adds a request to the queue. The caller must call Leave. The errors are those of loading the index, and a LimitError if
// no slot is free and [MaxWaiters] requests wait already.
func (l *Ledger) Wait(ctx context.Context, storage logical.Storage, intent Intent) (*Waiter, error) {
	x, err := l.loaded(ctx, storage, intent.Config)
	if err != nil {
		return nil, err
	}
	w := &Waiter{ledger: l, index: x, intent: intent, ready: make(chan struct{})}
	if err := x.enqueue(w); err != nil {
		return nil, l.explain(ctx, storage, x, err)
	}
	return w, nil
}

// enqueue adds a request, unless the queue is full.
func (x *index) enqueue(w *Waiter) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dispatch() // a slot may have become free since the request was refused
	if len(x.waiters) >= MaxWaiters {
		if err := x.admit(&w.intent); err != nil {
			return err
		}
	}
	x.waiters = append(x.waiters, w)
	x.dispatch()
	return nil
}

// Ready returns a channel that is closed when Claim has a result.
func (w *Waiter) Ready() <-chan struct{} { return w.ready }

// Claim stores the intent after Ready, and returns its entry. It fails as Reserve does.
func (w *Waiter) Claim(ctx context.Context, storage logical.Storage) (*Entry, error) {
	w.index.mu.Lock()
	entry, err := w.entry, w.err
	w.entry = nil // from now on, the slot is the caller's
	w.index.mu.Unlock()
	switch {
	case errors.Is(err, errDropped):
		return w.ledger.Reserve(ctx, storage, w.intent)
	case err != nil:
		return nil, err
	}
	return w.ledger.storeIntent(ctx, storage, w.index, entry)
}

// Refusal gives the waiting requests the slots that have become free by time, and returns why this one has none: a
// LimitError, or nil if Ready is closed.
func (w *Waiter) Refusal(ctx context.Context, storage logical.Storage) error {
	w.index.mu.Lock()
	w.index.dispatch()
	done := w.entry != nil || w.err != nil
	err := w.index.admit(&w.intent)
	w.index.mu.Unlock()
	if done {
		return nil
	}
	return w.ledger.explain(ctx, storage, w.index, err)
}

// Leave ends the wait. A slot that was not claimed goes to the next request.
func (w *Waiter) Leave() {
	w.index.mu.Lock()
	defer w.index.mu.Unlock()
	if i := slices.Index(w.index.waiters, w); i >= 0 {
		w.index.waiters = slices.Delete(w.index.waiters, i, i+1)
	}
	if w.entry != nil {
		w.index.forget(w.entry.ID)
		w.entry = nil
	}
}

// dispatch gives free slots to the waiting requests, in order. It is called with the lock held.
func (x *index) dispatch() {
	now := x.now()
	x.advance(now)
	if len(x.waiters) == 0 {
		return
	}
	waiting := x.waiters[:0]
	for _, w := range x.waiters {
		err := x.admit(&w.intent)
		if _, full := errors.AsType[*LimitError](err); full {
			waiting = append(waiting, w)
			continue
		}
		if w.err = err; err == nil {
			w.entry = newEntry(&w.intent, now)
			x.keep(w.entry)
		}
		close(w.ready)
	}
	clear(x.waiters[len(waiting):])
	x.waiters = waiting
}
