package pool

import (
	"context"
	"sync"
)

// Urgency moves the requests of a call forward among those that wait for their turn with the same priority. It begins
// at 0 and only grows. It is safe for concurrent use.
type Urgency struct {
	mu     sync.Mutex
	level  int
	raised chan struct{}
}

// NewUrgency returns the urgency of a new call.
func NewUrgency() *Urgency { return &Urgency{raised: make(chan struct{})} }

// Raise makes the requests of the call as urgent as level, also those that wait already. A lower level changes nothing.
func (u *Urgency) Raise(level int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if level <= u.level {
		return
	}
	u.level = level
	close(u.raised)
	u.raised = make(chan struct{})
}

// get returns the level, and a channel that is closed when it grows. Without an urgency, it never does.
func (u *Urgency) get() (level int, raised <-chan struct{}) {
	if u == nil {
		return 0, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.level, u.raised
}

// WithUrgency returns a context for calls that have this urgency. They run for longer than a request of Vault: while they
// wait for their turn, they make way for a caller that waits for exclusive use of the connection.
func WithUrgency(ctx context.Context, urgency *Urgency) context.Context {
	return context.WithValue(ctx, contextUrgency, urgency)
}

func urgencyOf(ctx context.Context) *Urgency {
	urgency, _ := ctx.Value(contextUrgency).(*Urgency)
	return urgency
}

// yieldOf returns a channel that is closed when a call with an urgency must not wait for its turn any longer. It is nil
// for other calls.
func yieldOf(ctx context.Context) <-chan struct{} {
	conn, ok := ctx.Value(contextConn).(*Conn)
	if !ok || urgencyOf(ctx) == nil {
		return nil
	}
	return conn.YieldRequested()
}
