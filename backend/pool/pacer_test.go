package pool

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// queue is a pacer whose burst is used up, and the callers that wait for it.
type queue struct {
	t     *testing.T
	clock *providertest.Clock
	pacer *pacer
	turns chan string
}

// newQueue returns a pacer of one request a second, with an empty bucket.
func newQueue(t *testing.T) *queue {
	t.Helper()
	q := &queue{t: t, clock: providertest.NewClock(), turns: make(chan string, 100)}
	q.pacer = newPacer(q.clock, 60)
	for range int(burst.Seconds()) {
		require.NoError(t, q.pacer.wait(t.Context(), priorityIssue))
	}
	return q
}

// add makes one more caller wait, and returns when it has its place in the queue. The channel receives its result.
func (q *queue) add(ctx context.Context, name string, order priority) <-chan error {
	q.t.Helper()
	before := q.length()
	done := inBackground(func() error {
		err := q.pacer.wait(ctx, order)
		if err == nil {
			q.turns <- name
		}
		return err
	})
	q.awaitLength(before + 1)
	return done
}

// inBackground runs a function in a goroutine. The channel receives its result.
func inBackground(run func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	return done
}

func (q *queue) length() int { return q.pacer.queued() }

func (q *queue) awaitLength(length int) {
	q.t.Helper()
	require.Eventually(q.t, func() bool { return q.length() == length }, 10*time.Second, 100*time.Microsecond)
}

// next advances the clock until one caller has its turn, and returns its name. A caller that is about to wait for the
// clock may miss one step, so that the steps are short.
func (q *queue) next() string {
	q.t.Helper()
	for range 1000 {
		select {
		case name := <-q.turns:
			return name
		case <-time.After(2 * time.Millisecond):
			q.clock.Advance(100 * time.Millisecond)
		}
	}
	require.Fail(q.t, "no caller has its turn")
	return ""
}

func TestPacer_Priorities_RevokeThenRenewThenIssue(t *testing.T) {
	q := newQueue(t)
	q.add(t.Context(), "issue 1", priorityIssue)
	q.add(t.Context(), "issue 2", priorityIssue)
	q.add(t.Context(), "renew 1", priorityRenew)
	q.add(t.Context(), "revoke 1", priorityRevoke)
	q.add(t.Context(), "renew 2", priorityRenew)
	q.add(t.Context(), "revoke 2", priorityRevoke)
	var order []string
	for range 6 {
		order = append(order, q.next())
	}
	require.Equal(t, []string{"revoke 1", "revoke 2", "renew 1", "renew 2", "issue 1", "issue 2"}, order)
	require.Zero(t, q.length())
}

func TestPacer_CallerGivesUp_GivesItsPlaceBack(t *testing.T) {
	for _, position := range []int{0, 1, 2} {
		q := newQueue(t)
		ctx, cancel := context.WithCancel(t.Context())
		names, results := []string{"a", "b", "c"}, []<-chan error{}
		for i, name := range names {
			caller := t.Context()
			if i == position {
				caller = ctx
			}
			results = append(results, q.add(caller, name, priorityIssue))
		}
		cancel()
		err := <-results[position]
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, provider.ErrNotSent)
		require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
		require.Equal(t, 2, q.length(), "its place is free")
		began := q.clock.Now()
		remaining := slices.Delete(slices.Clone(names), position, position+1)
		require.Equal(t, remaining, []string{q.next(), q.next()})
		require.Less(t, q.clock.Now().Sub(began), 3*time.Second, "the caller that gave up took no turn")
	}
}

func TestPacer_DeadlineBeforeTurn_IsRefusedAtOnce(t *testing.T) {
	q := newQueue(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		q.add(t.Context(), name, priorityIssue)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	err := q.pacer.wait(ctx, priorityIssue)
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.Equal(t, provider.ClassRateLimited, provider.ClassOf(err))
	require.Equal(t, 6*time.Second, provider.RetryAfterOf(err), "five callers are ahead")
	require.Equal(t, 5, q.length())
	require.NoError(t, ctx.Err(), "it did not wait")
	// A revocation goes to the front, so that its deadline suffices.
	q.add(ctx, "revoke", priorityRevoke)
	require.Equal(t, "revoke", q.next())
}

func TestPacer_Estimate_CountsCallersAheadAndTokens(t *testing.T) {
	clock := providertest.NewClock()
	p := newPacer(clock, 120)
	for range int(burst.Seconds() * 2) {
		require.NoError(t, p.wait(t.Context(), priorityIssue))
	}
	clock.Advance(250 * time.Millisecond) // half a token
	own := &waiter{priority: priorityRenew, arrived: 5}
	require.Equal(t, 250*time.Millisecond, p.estimate(own))
	for i := range 4 {
		p.waiting = append(p.waiting, &waiter{priority: priorityRenew, arrived: uint64(i)})
	}
	p.waiting = append(p.waiting, own, &waiter{priority: priorityIssue})
	require.Equal(t, 2250*time.Millisecond, p.estimate(own), "five turns at two a second")
	clock.Advance(time.Hour)
	require.Zero(t, p.estimate(own), "the bucket is full")
}

// A token that is free belongs to the first in the queue.
func TestPacer_OthersWait_NewCallerQueuesUp(t *testing.T) {
	q := &queue{t: t, clock: providertest.NewClock(), turns: make(chan string, 1)}
	q.pacer = newPacer(q.clock, 60)
	heap.Push(&q.pacer.waiting, &waiter{priority: priorityIssue, head: make(chan struct{})})
	q.pacer.arrived++
	ctx, cancel := context.WithCancel(t.Context())
	result := q.add(ctx, "new", priorityIssue)
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
}

func TestPacer_LeavingTwice_MovesNoOther(t *testing.T) {
	q := newQueue(t)
	for _, name := range []string{"a", "b"} {
		q.add(t.Context(), name, priorityIssue)
	}
	own := &waiter{priority: priorityRevoke, head: make(chan struct{})}
	heap.Push(&q.pacer.waiting, own)
	q.pacer.leave(own)
	q.pacer.leave(own)
	q.pacer.moveForward(own, 1)
	require.Equal(t, 2, q.length())
	require.Equal(t, []string{"a", "b"}, []string{q.next(), q.next()})
}

func TestPacer_Limit_IsObserved(t *testing.T) {
	clock := providertest.NewClock()
	p := newPacer(clock, 120)
	const callers = 60
	var mu sync.Mutex
	var turns []time.Time
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			if p.wait(t.Context(), priority(i%3)) == nil {
				mu.Lock()
				defer mu.Unlock()
				turns = append(turns, clock.Now())
			}
		})
	}
	finished := make(chan struct{})
	go func() { group.Wait(); close(finished) }()
	began := clock.Now()
	for steps := 0; ; steps++ {
		select {
		case <-finished:
			require.Len(t, turns, callers)
			atOnce := int(burst.Seconds() * 2)
			for i, at := range turns {
				allowed := atOnce + int(at.Sub(began).Seconds()*2) + 1
				require.LessOrEqual(t, i+1, allowed, "after %s", at.Sub(began))
			}
			return
		case <-time.After(time.Millisecond):
			clock.Advance(50 * time.Millisecond)
		}
		require.Less(t, steps, 10_000, "the callers do not get their turns")
	}
}

// The first in the queue waits for the time that the limit before has set, the others wait to be called.
func TestPacer_LimitChanges_ReachTheFirstInTheQueue(t *testing.T) {
	for name, test := range map[string]struct {
		perMinute int
		turn      time.Duration // after the bucket was empty
	}{
		"removed":  {0, 10 * time.Second},
		"raised":   {60, 10*time.Second + 2*time.Second/3}, // it has a third of a token
		"the same": {2, 30 * time.Second},
		"lowered":  {1, 50 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPacer(provider.SystemClock{}, 2)
				require.NoError(t, p.wait(t.Context(), priorityIssue))
				began := time.Now()
				turn := inBackground(func() error { return p.wait(t.Context(), priorityIssue) })
				time.Sleep(10 * time.Second)
				p.setLimit(test.perMinute)
				require.NoError(t, <-turn)
				require.InDelta(t, test.turn, time.Since(began), float64(time.Millisecond))
			})
		})
	}
}

func TestPacer_FirstInTheQueue_MakesWayToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(provider.SystemClock{}, 1)
		require.NoError(t, p.wait(t.Context(), priorityRevoke))
		conn := &Conn{yield: make(chan struct{})}
		ctx := WithUrgency(withConn(t.Context(), conn), NewUrgency())
		turn := inBackground(func() error { return p.wait(ctx, priorityRevoke) })
		synctest.Wait() // for the time of its turn
		began := time.Now()
		conn.requestYield()
		require.ErrorIs(t, <-turn, errPreempted)
		require.Zero(t, time.Since(began))
		require.Zero(t, p.queued())
	})
}

// Otherwise a limit that is changed twice lets a burst pass each time.
func TestPacer_LimitChanges_KeepTheBucket(t *testing.T) {
	clock := providertest.NewClock()
	p := newPacer(clock, 60)
	atOnce := func() (requests int) {
		for p.limiter.AllowN(clock.Now(), 1) {
			requests++
		}
		return requests
	}
	require.Equal(t, 6, atOnce())
	clock.Advance(3 * time.Second)
	for _, step := range []struct {
		perMinute, requests int
	}{{600, 3}, {600, 0}, {60, 0}, {120, 0}} {
		p.setLimit(step.perMinute)
		require.Equal(t, step.requests, atOnce(), step.perMinute)
	}
	clock.Advance(time.Hour)
	require.Equal(t, 12, atOnce(), "it has grown with the limit")
	clock.Advance(time.Hour)
	p.setLimit(60)
	require.Equal(t, 6, atOnce(), "the tokens that do not fit are lost")
	p.setLimit(0)
	for range 1000 {
		require.NoError(t, p.wait(t.Context(), priorityIssue))
	}
	p.setLimit(600)
	require.Equal(t, 60, atOnce(), "after no limit it is full")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, p.wait(ctx, priorityIssue), provider.ErrNotSent)
	require.Zero(t, p.queued())
}

func TestPacer_ClockSetBack_DoesNotStopTheQueue(t *testing.T) {
	q := newQueue(t)
	q.clock.Advance(24 * time.Hour)
	for range int(burst.Seconds()) {
		require.NoError(t, q.pacer.wait(t.Context(), priorityIssue))
	}
	q.clock.Set(q.clock.Now().Add(-24 * time.Hour))
	q.add(t.Context(), "a", priorityIssue)
	began := q.clock.Now()
	require.Equal(t, "a", q.next())
	require.Less(t, q.clock.Now().Sub(began), 5*time.Second)
}

func always(p *pacer) func() *pacer { return func() *pacer { return p } }

// Requests do not queue up behind a host that does not answer, and those that queue are not its half-open probe.
func TestGuard_HostDoesNotAnswer_TakesNoTurn(t *testing.T) {
	q := newQueue(t)
	var waited time.Duration
	g := &guard{breakers: newHostBreakers(time.Hour), pacer: always(q.pacer), observeWait: func(d time.Duration) { waited += d }}
	openBreaker(t, g.breakers, "silent:443")
	err := g.Pace(t.Context(), "silent:443")
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.Equal(t, provider.ClassUnavailable, provider.ClassOf(err))
	require.Zero(t, q.length())
	done := inBackground(func() error { return g.Pace(WithProbe(t.Context()), "silent:443") })
	q.awaitLength(1) // an operator's request waits for its turn
	q.pacer.setLimit(0)
	q.clock.Advance(time.Minute)
	require.NoError(t, <-done)
	require.Positive(t, waited, "the wait is observed")
}
