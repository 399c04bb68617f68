package fortisiem

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// tokenInterval is the documented interval between two token requests for one client id.
	tokenInterval = 5 * time.Second

	// tokenSpacing is the interval that the limiter keeps. The product measures the interval between the arrivals
	// of two requests, and the second one can be faster on its way than the first.
	tokenSpacing = tokenInterval + 250*time.Millisecond

	// maxQueue is the longest wait for a turn. Most callers have a shorter timeout than a longer wait would need.
	maxQueue = 30 * time.Second

	// answerAllowance is how much of the caller's time must remain at its turn. If the caller's deadline passes
	// before the answer arrives, the product may have created a token that is lost.
	answerAllowance = 2 * time.Second
)

// tokenLimiter keeps the interval between the token requests of one connection, which get their turns in the order of
// arrival. It holds its mutex while it reserves a turn, and not during the wait or the request. It is safe for
// concurrent use.
type tokenLimiter struct {
	clock provider.Clock

	mu   sync.Mutex
	next time.Time // the first free turn
}

// wait waits until the caller may send its request. If the turn would be too late, it returns an error of
// ClassRateLimited immediately. If ctx ends during the wait, the error is ClassUnavailable. In both cases nothing was
// sent.
func (t *tokenLimiter) wait(ctx context.Context) error {
	turn, pause, err := t.reserve(ctx)
	if err != nil || pause <= 0 {
		return err
	}
	select {
	case <-t.clock.After(pause):
		return nil
	case <-ctx.Done():
		t.release(turn)
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opExchange,
			Message: "nothing was sent: the caller gave up while it waited for its turn",
			Err:     errors.Join(provider.ErrNotSent, ctx.Err()),
		}
	}
}

// reserve reserves the next free turn and returns the time until then.
func (t *tokenLimiter) reserve(ctx context.Context) (turn time.Time, pause time.Duration, err error) {
	longest := maxQueue
	if deadline, ok := ctx.Deadline(); ok {
		// A deadline uses the machine's time, not the clock's.
		longest = min(longest, time.Until(deadline)-answerAllowance)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	turn = now
	if t.next.After(now) {
		turn = t.next
	}
	pause = turn.Sub(now)
	if pause > 0 && pause > longest {
		return time.Time{}, 0, &provider.Error{
			Class: provider.ClassRateLimited, Op: opExchange,
			Message: "nothing was sent: the product allows one token request every 5 seconds for each client id, and too many are waiting",
			Remedy:  "share tokens with sharing=shared, or spread roles over several client ids",
			// This is when a caller with the same deadline gets a turn again, not when this caller's turn would be.
			RetryAfter: max(pause-longest, time.Second),
			Err:        provider.ErrNotSent,
		}
	}
	t.next = turn.Add(tokenSpacing)
	return turn, pause, nil
}

// release frees a turn that is not used, unless a later one has been reserved.
func (t *tokenLimiter) release(turn time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next.Equal(turn.Add(tokenSpacing)) {
		t.next = turn
	}
}

// postpone moves the next free turn to at least one interval from now, or to after a longer wait that the product has asked
// for. It is called when another node or another config has just sent a request with this client id.
func (t *tokenLimiter) postpone(wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if free := t.clock.Now().Add(max(wait, tokenSpacing)); free.After(t.next) {
		t.next = free
	}
}
