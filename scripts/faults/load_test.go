package faults

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// requestTimeout bounds a request of the load, so that one to a dead node ends.
const requestTimeout = 5 * time.Second

// load is many clients that read, renew, revoke and let expire, at random.
type load struct {
	trials  []*scenario
	clients []*api.Client
	stop    context.CancelFunc
	workers sync.WaitGroup
	// done and failed count requests.
	done, failed atomic.Int64
}

// startLoad begins a trial for each vendor, and puts them under load. Clients of the load repeat failed requests
// as Vault's clients do.
func (s *cluster) startLoad(t *testing.T, fault string, vendors []vendor, random *rand.Rand) *load {
	t.Helper()
	l := &load{}
	for _, node := range s.server.Nodes() {
		client := node.Client()
		client.SetClientTimeout(requestTimeout)
		l.clients = append(l.clients, client)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	for _, v := range vendors {
		o := s.begin(t, fault, "load", v)
		l.trials = append(l.trials, o)
		// Two clients with credentials of their own, where the vendor grants one at any time, and two that share.
		if v.emulated != "fortisiem" {
			l.work(ctx, o, o.role, 1, rand.New(rand.NewPCG(random.Uint64(), 1)))
			l.work(ctx, o, o.role, 1, rand.New(rand.NewPCG(random.Uint64(), 2)))
		}
		l.work(ctx, o, o.shared, 3, rand.New(rand.NewPCG(random.Uint64(), 3)))
		l.work(ctx, o, o.shared, 3, rand.New(rand.NewPCG(random.Uint64(), 4)))
	}
	return l
}

// work is one client, which holds so many leases at most.
func (l *load) work(ctx context.Context, o *scenario, role string, most int, random *rand.Rand) {
	l.workers.Go(func() {
		node := random.IntN(len(l.clients))
		var mine []string
		for ctx.Err() == nil {
			client := l.clients[node]
			id, err := l.step(ctx, o, client, role, &mine, most, random)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				l.failed.Add(1)
				node = (node + 1) % len(l.clients)
			default:
				l.done.Add(1)
				if id != "" {
					mine = append(mine, id)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(random.IntN(60)) * time.Millisecond):
			}
		}
	})
}

// step is one request, and returns the lease that it has got.
func (l *load) step(ctx context.Context, o *scenario, client *api.Client, role string, mine *[]string, most int, random *rand.Rand) (string, error) {
	// A request that has begun is finished when the load stops: what is asked for then counts.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*requestTimeout)
	defer cancel()
	choice := random.IntN(100)
	if len(*mine) == 0 || len(*mine) < most && choice < 40 {
		return o.read(ctx, client, role)
	}
	i := random.IntN(len(*mine))
	id := (*mine)[i]
	drop := func() { *mine = append((*mine)[:i:i], (*mine)[i+1:]...) }
	switch {
	case !o.holding(id):
		drop() // it has expired
		return "", nil
	case choice < 65 && o.vendor.renewable:
		return "", o.renew(ctx, client, id)
	case choice < 98:
		drop()
		return "", o.revoke(ctx, client, id)
	default:
		drop() // let it expire
		return "", nil
	}
}

// awaitWork waits until so many more requests have succeeded.
func (l *load) awaitWork(t *testing.T, requests int64) {
	t.Helper()
	from := l.done.Load()
	require.True(t, await(2*patience, func() bool { return l.done.Load() >= from+requests }),
		"%d of %d requests have succeeded, %d have failed", l.done.Load()-from, requests, l.failed.Load())
}

// conclude stops the load and compares the books.
func (l *load) conclude(t *testing.T) {
	t.Helper()
	l.stop()
	l.workers.Wait()
	for _, o := range l.trials {
		o.conclude(t)
	}
	progress("%s: %d requests succeeded, %d did not", l.trials[0].fault, l.done.Load(), l.failed.Load())
}
