package pool

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestPacer_RaisedUrgency_GoesFirst(t *testing.T) {
	q := newQueue(t)
	urgent := NewUrgency()
	q.add(t.Context(), "first", priorityRevoke)
	q.add(t.Context(), "second", priorityRevoke)
	q.add(WithUrgency(t.Context(), urgent), "urgent", priorityRevoke)
	urgent.Raise(2)
	require.Eventually(t, func() bool {
		q.pacer.mu.Lock()
		defer q.pacer.mu.Unlock()
		return q.pacer.waiting[0].urgency == 2
	}, 10*time.Second, 100*time.Microsecond)
	urgent.Raise(1)
	require.Equal(t, []string{"urgent", "first", "second"}, []string{q.next(), q.next(), q.next()})
}

// It is the first of the queue and waits for its token, but it must not lose its place to a less urgent one.
func TestUrgency_RaisedWhileFirst_KeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(provider.SystemClock{}, 1)
		require.NoError(t, p.wait(t.Context(), priorityRevoke))
		began := time.Now()
		wait := func(urgency *Urgency) <-chan error {
			done := inBackground(func() error { return p.wait(WithUrgency(t.Context(), urgency), priorityRevoke) })
			synctest.Wait()
			return done
		}
		first, second := NewUrgency(), NewUrgency()
		first.Raise(1)
		second.Raise(2)
		raised := wait(first)
		first.Raise(3)
		other := wait(second)
		require.NoError(t, <-raised)
		require.Equal(t, time.Minute, time.Since(began))
		require.NoError(t, <-other)
		require.Equal(t, 2*time.Minute, time.Since(began))
	})
}

func TestUrgency_NotRaised_WakesNoRequest(t *testing.T) {
	u := NewUrgency()
	u.Raise(2)
	_, raised := u.get()
	for _, level := range []int{1, 2} {
		u.Raise(level)
		now, _ := u.get()
		require.Equal(t, 2, now)
		select {
		case <-raised:
			require.Fail(t, "its callers look at their places again", "level %d", level)
		default:
		}
	}
	u.Raise(3)
	<-raised
}

func TestPacer_ExclusiveUseWanted_LongCallMakesWay(t *testing.T) {
	q := newQueue(t)
	conn := &Conn{yield: make(chan struct{})}
	ordinary := q.add(withConn(t.Context(), conn), "ordinary", priorityRevoke)
	long := q.add(WithUrgency(withConn(t.Context(), conn), NewUrgency()), "long", priorityRevoke)
	conn.requestYield()
	require.ErrorIs(t, <-long, provider.ErrNotSent)
	require.Equal(t, "ordinary", q.next())
	require.NoError(t, <-ordinary)
}

func TestConn_RevocationUnanswered_IsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newTestPool(false)
		require.False(t, p.Silent("edge", 0), "no connection is open")
		conn, err := p.Acquire(nil, "edge", &store.Config{})
		require.NoError(t, err)
		end := conn.beginRevoking()
		require.False(t, p.Silent("edge", 0), "it was sent now")
		time.Sleep(2 * time.Second)
		other := conn.beginRevoking()
		require.True(t, p.Silent("edge", time.Second))
		require.False(t, p.Silent("edge", 2*time.Second), "not for longer")
		time.Sleep(2 * time.Second)
		end()
		require.True(t, p.Silent("edge", time.Second))
		require.False(t, p.Silent("edge", 3*time.Second), "the older one was answered")
		other()
		require.False(t, p.Silent("edge", 0))
	})
}

// Only the requests of revocations count: the others may wait for as long as their callers do.
func TestGuard_Admit_CountsRequestsOfRevocations(t *testing.T) {
	a := newAccount()
	g := &guard{breakers: newHostBreakers(time.Hour)}
	openBreaker(t, g.breakers, "silent:443")
	for name, test := range map[string]struct {
		operation, host string
		refused         bool
		sent            int
	}{
		"a revocation":                  {OperationRevoke, "h:443", false, 1},
		"a read":                        {OperationIssue, "h:443", false, 0},
		"a revocation that is not sent": {OperationRevoke, "silent:443", true, 0},
		"a read that is not sent":       {OperationIssue, "silent:443", true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
			err := a.pool.Call(t.Context(), conn, "vendor", test.operation, func(ctx context.Context) error {
				done, err := g.Admit(ctx, test.host)
				require.Equal(t, test.refused, err != nil)
				require.Len(t, conn.revoking, test.sent)
				if err == nil {
					done(nil)
				}
				return err
			})
			require.Equal(t, test.refused, err != nil)
			require.Empty(t, conn.revoking)
		})
	}
	_, err := g.Admit(t.Context(), "h:443")
	require.NoError(t, err, "a request of no operation")
}

// The documented limit of Trend, 500 calls a minute, of which the engine uses 450: 2,500 revocations of two calls take
// eleven minutes. Vault asks for each revocation six times, with growing pauses of random length, and gives its lease up
// when the sixth fails. Those that are asked for most often go first, so that none is given up.
func TestPacer_ManyRevocations_NoneIsGivenUp(t *testing.T) {
	const (
		leases, perMinute = 2500, 450
		patience          = 1500 * time.Millisecond
		attempts          = 6
	)
	synctest.Test(t, func(t *testing.T) {
		queue := newPacer(provider.SystemClock{}, perMinute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		random := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		var givenUp int
		var last time.Time
		var all sync.WaitGroup
		begun := time.Now()
		for range leases {
			seed := random.Uint64()
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, 3))
				urgency, done := NewUrgency(), make(chan struct{})
				go func() {
					defer close(done)
					for range 2 {
						if queue.wait(WithUrgency(ctx, urgency), priorityRevoke) != nil {
							return
						}
						time.Sleep(50 * time.Millisecond) // the vendor
					}
					mu.Lock()
					defer mu.Unlock()
					last = time.Now()
				}()
				for attempt := 1; attempt <= attempts; attempt++ {
					urgency.Raise(attempt)
					select {
					case <-done:
						return
					case <-time.After(patience):
					}
					pause := (1 << attempt) * 10 * time.Second
					time.Sleep(time.Duration((0.5 + random.Float64()) * float64(pause)))
				}
				<-done
				mu.Lock()
				defer mu.Unlock()
				givenUp++
			})
		}
		all.Wait()
		require.Zero(t, givenUp, "leases that Vault has given up")
		// 1.5 times what the documented limit allows.
		require.Less(t, last.Sub(begun), leases*2*time.Minute/500*3/2)
	})
}
