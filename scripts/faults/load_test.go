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

// requestTimeout bounds one request of the load, so that a request to a dead node ends.
const requestTimeout = 5 * time.Second

// load is a number of concurrent clients that read, renew and revoke credentials, or let them expire, at random.
type load struct {
	scenarios []*scenario
	clients   []*api.Client
	stop      context.CancelFunc
	workers   sync.WaitGroup
	// succeeded and failed count requests.
	succeeded, failed atomic.Int64
}

// startLoad begins a scenario for each target, and starts clients for it. These clients retry failed requests, as Vault's
// clients do by default.
func (cl *cluster) startLoad(t *testing.T, fault string, targets []target, random *rand.Rand) *load {
	t.Helper()
	l := &load{}
	for _, node := range cl.server.Nodes() {
		client := node.Client()
		client.SetClientTimeout(requestTimeout)
		l.clients = append(l.clients, client)
	}
	ctx, cancel := context.WithCancel(t.Context())
	l.stop = cancel
	for _, v := range targets {
		sc := cl.begin(t, fault, "load", v)
		l.scenarios = append(l.scenarios, sc)
		// Two clients with an exclusive credential each, unless the vendor limits the rate of logins, and two that share
		// one credential.
		if v.Name != "fortisiem" {
			l.startClient(ctx, sc, sc.role, 1, rand.New(rand.NewPCG(random.Uint64(), 1)))
			l.startClient(ctx, sc, sc.role, 1, rand.New(rand.NewPCG(random.Uint64(), 2)))
		}
		l.startClient(ctx, sc, sc.shared, 3, rand.New(rand.NewPCG(random.Uint64(), 3)))
		l.startClient(ctx, sc, sc.shared, 3, rand.New(rand.NewPCG(random.Uint64(), 4)))
	}
	return l
}

// startClient starts one client, which holds at most maxLeases leases at a time.
func (l *load) startClient(ctx context.Context, sc *scenario, role string, maxLeases int, random *rand.Rand) {
	l.workers.Go(func() {
		node := random.IntN(len(l.clients))
		var own []string
		for ctx.Err() == nil {
			id, err := l.sendOne(ctx, sc, l.clients[node], role, &own, maxLeases, random)
			switch {
			case ctx.Err() != nil:
			case err != nil:
				l.failed.Add(1)
				node = (node + 1) % len(l.clients)
			default:
				l.succeeded.Add(1)
				if id != "" {
					own = append(own, id)
				}
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(random.IntN(60)) * time.Millisecond):
			}
		}
	})
}

// sendOne sends one request, and returns the id of the lease that it created, if any.
func (l *load) sendOne(ctx context.Context, sc *scenario, client *api.Client, role string, own *[]string, maxLeases int, random *rand.Rand) (string, error) {
	// A request that has begun is completed after the load stops, since the scenario counts its result.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*requestTimeout)
	defer cancel()
	choice := random.IntN(100)
	if len(*own) == 0 || len(*own) < maxLeases && choice < 40 {
		return sc.read(ctx, client, role)
	}
	i := random.IntN(len(*own))
	id := (*own)[i]
	drop := func() { *own = append((*own)[:i:i], (*own)[i+1:]...) }
	switch {
	case !sc.holds(id):
		drop() // it has expired
		return "", nil
	case choice < 65 && sc.target.Renewable():
		return "", sc.renew(ctx, client, id)
	case choice < 98:
		drop()
		return "", sc.revoke(ctx, client, id)
	default:
		drop() // it will expire
		return "", nil
	}
}

// awaitRequests waits until that many more requests have succeeded.
func (l *load) awaitRequests(t *testing.T, requests int64) {
	t.Helper()
	from := l.succeeded.Load()
	require.True(t, await(2*recoveryTimeout, func() bool { return l.succeeded.Load() >= from+requests }),
		"%d of %d requests have succeeded, %d have failed", l.succeeded.Load()-from, requests, l.failed.Load())
}

// conclude stops the load and concludes its scenarios.
func (l *load) conclude(t *testing.T) {
	t.Helper()
	l.stop()
	l.workers.Wait()
	for _, sc := range l.scenarios {
		sc.conclude(t)
	}
	progress("%s: %d requests succeeded, %d failed", l.scenarios[0].fault, l.succeeded.Load(), l.failed.Load())
}
