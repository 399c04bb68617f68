package pool

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// priority orders the requests that wait for their turn. A revocation goes first: a credential that should
// have ended is worse than an application that waits.
type priority int

const (
	priorityRevoke priority = iota
	priorityRenew
	priorityIssue
)

// burst is how many seconds' worth of requests may be sent at once after a pause.
const burst = 6 * time.Second

// pacer spreads the requests of one root credential over time: a token bucket with a queue that is ordered by
// priority, then by urgency, and then by arrival. It has no goroutine: the waiting callers hand the turn to each other. It is
// safe for concurrent use.
type pacer struct {
	clock provider.Clock

	mu      sync.Mutex
	limiter *rate.Limiter
	waiting waiters
	arrived uint64
	// changed is closed when the limit changes.
	changed chan struct{}
}

// waiter is one caller that waits for its turn.
type waiter struct {
	priority priority
	urgency  int
	arrived  uint64
	index    int // in the heap; -1 once it has left
	// head is closed when the caller has become the first in the queue because another one left.
	head chan struct{}
}

// newPacer returns a pacer for a number of requests per minute. Zero is unlimited.
func newPacer(clock provider.Clock, perMinute int) *pacer {
	p := &pacer{clock: clock, limiter: rate.NewLimiter(rate.Inf, 1), changed: make(chan struct{})}
	p.setLimit(perMinute)
	return p
}

// setLimit changes the number of requests per minute. The tokens of the bucket stay: otherwise a changed limit would let a burst
// pass that the vendor counts with the one before. Only after no limit the bucket is full. Callers that wait learn of it.
func (p *pacer) setLimit(perMinute int) {
	limit, size := rate.Inf, 1
	if perMinute > 0 {
		limit = rate.Limit(float64(perMinute) / time.Minute.Seconds())
		size = max(1, int(burst.Seconds()*float64(limit)))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch previous := p.limiter.Limit(); {
	case previous == limit:
		return
	case previous == rate.Inf || limit == rate.Inf:
		p.limiter = rate.NewLimiter(limit, size)
	default:
		now := p.clock.Now()
		p.limiter.SetLimitAt(now, limit)
		p.limiter.SetBurstAt(now, size)
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

// idle reports whether a new pacer would do the same: no caller waits, and the bucket is full.
func (p *pacer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting) == 0 && (p.limiter.Limit() == rate.Inf || p.limiter.TokensAt(p.clock.Now()) >= float64(p.limiter.Burst()))
}

// queued returns how many callers wait for their turn.
func (p *pacer) queued() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiting)
}

// wait returns when it is the caller's turn. If the context ends first, or cannot last until the turn, the
// caller gives its place back, and the error is ClassRateLimited with ErrNotSent in its chain.
func (p *pacer) wait(ctx context.Context, order priority) error {
	p.mu.Lock()
	if len(p.waiting) == 0 && p.limiter.AllowN(p.clock.Now(), 1) {
		p.mu.Unlock()
		return nil
	}
	urgency := urgencyOf(ctx)
	level, raised := urgency.get()
	own := &waiter{priority: order, urgency: level, arrived: p.arrived, head: make(chan struct{})}
	p.arrived++
	heap.Push(&p.waiting, own)
	estimate := p.estimate(own)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < estimate {
		p.leave(own)
		p.mu.Unlock()
		return errTurn(estimate, context.DeadlineExceeded)
	}
	p.mu.Unlock()
	yield := yieldOf(ctx)
	for {
		pause, changed, done := p.take(own)
		if done {
			return nil
		}
		head, due := own.head, (<-chan time.Time)(nil)
		if pause > 0 { // the caller is the first
			head, due = nil, p.clock.After(pause)
		}
		select {
		case <-head:
		case <-due:
		case <-changed:
		case <-raised:
			level, raised = urgency.get()
			p.moveForward(own, level)
		case <-yield:
			return p.giveUp(own, errPreempted)
		case <-ctx.Done():
			return p.giveUp(own, ctx.Err())
		}
	}
}

// errPreempted ends the wait of a call that makes way for a caller that waits for exclusive use.
var errPreempted = errors.New("another request needs the connection for itself")

// moveForward makes a waiting caller more urgent.
func (p *pacer) moveForward(own *waiter, urgency int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own.urgency = urgency
	if own.index >= 0 {
		heap.Fix(&p.waiting, own.index)
	}
}

// take takes the turn if the caller is first and the bucket has a token. If only the token is missing, it returns how long to
// wait for it, and a channel that is closed when the limit changes before. Otherwise the caller waits to be called.
func (p *pacer) take(own *waiter) (pause time.Duration, changed <-chan struct{}, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if own.index != 0 {
		own.head = make(chan struct{}) // the caller can have been the first before
		return 0, nil, false
	}
	now := p.clock.Now()
	reservation := p.limiter.ReserveN(now, 1)
	if pause := reservation.DelayFrom(now); pause > 0 {
		reservation.CancelAt(now)
		return pause, p.changed, false
	}
	p.leave(own)
	p.callHead()
	return 0, nil, true
}

// giveUp gives the place of a caller back that does not wait any longer, because of cause.
func (p *pacer) giveUp(own *waiter, cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	estimate := p.estimate(own)
	p.leave(own)
	p.callHead()
	return errTurn(estimate, cause)
}

// leave removes a caller from the queue. The lock is held.
func (p *pacer) leave(own *waiter) {
	if own.index >= 0 {
		heap.Remove(&p.waiting, own.index)
	}
}

// callHead wakes the caller that is now the first of the queue. The lock is held.
func (p *pacer) callHead() {
	if len(p.waiting) == 0 {
		return
	}
	select {
	case <-p.waiting[0].head:
	default:
		close(p.waiting[0].head)
	}
}

// estimate is how long a caller will wait at the present limit. The lock is held.
func (p *pacer) estimate(own *waiter) time.Duration {
	ahead := 1 // the caller itself
	for _, other := range p.waiting {
		if other.before(own) {
			ahead++
		}
	}
	missing := float64(ahead) - p.limiter.TokensAt(p.clock.Now())
	if missing <= 0 || p.limiter.Limit() == rate.Inf {
		return 0
	}
	return time.Duration(missing / float64(p.limiter.Limit()) * float64(time.Second))
}

// errTurn is the error for a request whose turn did not come in time. It says nothing about the vendor.
func errTurn(estimate time.Duration, cause error) error {
	return &provider.Error{
		Class: provider.ClassRateLimited, RetryAfter: max(estimate, time.Second).Round(time.Second),
		Message: "too many requests of this root credential are waiting for their turn (requests_per_minute)",
		Remedy:  "share credentials with sharing=shared, use a longer ttl, or raise requests_per_minute if the vendor allows more",
		Err:     fmt.Errorf("%w: %w", provider.ErrNotSent, cause),
	}
}

// waiters is the queue as a heap.
type waiters []*waiter

func (w *waiter) before(other *waiter) bool {
	if w.priority != other.priority {
		return w.priority < other.priority
	}
	if w.urgency != other.urgency {
		return w.urgency > other.urgency
	}
	return w.arrived < other.arrived
}

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].before(w[j]) }
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push implements heap.Interface.
func (w *waiters) Push(x any) {
	added := x.(*waiter)
	added.index = len(*w)
	*w = append(*w, added)
}

// Pop implements heap.Interface.
func (w *waiters) Pop() any {
	last := (*w)[len(*w)-1]
	(*w)[len(*w)-1] = nil
	*w = (*w)[:len(*w)-1]
	last.index = -1
	return last
}
