package fortisiem

import (
	"context"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// tokenInterval is the documented distance of two token requests for one client id.
	tokenInterval = 5 * time.Second

	// tokenSpacing is the distance that is kept. The product counts from arrival to arrival, and the second
	// of two requests can travel faster than the first.
	tokenSpacing = tokenInterval + 250*time.Millisecond

	// maxQueue is the longest wait for a turn. Longer ones outlast the patience of most callers, who would
	// be served to nobody.
	maxQueue = 30 * time.Second

	// answerAllowance is what must remain of the caller's time at its turn. A request whose answer nobody
	// waits for may have made a token that nobody knows.
	answerAllowance = 2 * time.Second
)

// tokenLimiter spaces the token requests of one connection, in the order of arrival. Its mutex is held for the
// reservation of a turn only, not during the wait or the request. Safe for concurrent use.
type tokenLimiter struct {
	clock provider.Clock

	mu   sync.Mutex
	next time.Time // the first turn that is free
}

// wait returns when the caller may send its request. It fails with ClassRateLimited when that would be too
// late, and with ClassUnavailable when the caller gives up; either way, nothing was sent.
func (t *tokenLimiter) wait(ctx context.Context) error {
	turn, pause, err := t.reserve(ctx)
	if err != nil || pause <= 0 {
		return err
	}
	select {
	case <-t.clock.After(pause):
		return nil
	case <-ctx.Done():
		t.giveBack(turn)
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opExchange,
			Message: "nothing was sent: the caller gave up while it waited for its turn", Err: ctx.Err(),
		}
	}
}

// reserve takes the next free turn and tells how long it is until then.
func (t *tokenLimiter) reserve(ctx context.Context) (turn time.Time, pause time.Duration, err error) {
	patience := maxQueue
	if deadline, ok := ctx.Deadline(); ok {
		// The deadline is the machine's time, whatever the clock shows.
		patience = min(patience, time.Until(deadline)-answerAllowance)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	turn = now
	if t.next.After(now) {
		turn = t.next
	}
	pause = turn.Sub(now)
	if pause > 0 && pause > patience {
		return time.Time{}, 0, &provider.Error{
			Class: provider.ClassRateLimited, Op: opExchange,
			Message: "nothing was sent: the product allows one token request every 5 seconds for each client id, and too many are waiting",
			Remedy:  "share tokens with sharing=shared, or spread roles over several client ids",
			// When there is room again for somebody of the same patience, not when this caller's turn would
			// be: all others are held off as long.
			RetryAfter: max(pause-patience, time.Second),
		}
	}
	t.next = turn.Add(tokenSpacing)
	return turn, pause, nil
}

// giveBack frees a turn that is not used, if nobody has taken a later one.
func (t *tokenLimiter) giveBack(turn time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next.Equal(turn.Add(tokenSpacing)) {
		t.next = turn
	}
}

// postpone leaves the product alone for a whole interval from now: somebody else has just asked with this
// client id, another node or another config.
func (t *tokenLimiter) postpone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if free := t.clock.Now().Add(tokenSpacing); free.After(t.next) {
		t.next = free
	}
}
