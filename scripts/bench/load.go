package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
)

// requestTimeout bounds one request: a request that takes longer is an error of the run.
const requestTimeout = 30 * time.Second

// phase is what was measured of one operation: reads, renewals or revocations.
type phase struct {
	// Latencies are those of the successful requests.
	latencies []time.Duration
	// elapsed is the time from the first request to the end of the last.
	elapsed time.Duration
	// cpu is the time that Vault and the plugin have used.
	cpu time.Duration
	// vendorCalls are the requests that the vendor has received.
	vendorCalls int
}

// clientFor returns a client that opens a connection for each worker and keeps it, and never repeats a request.
func clientFor(base *api.Client, workers int) (*api.Client, error) {
	client, err := base.Clone()
	if err != nil {
		return nil, err
	}
	client.SetToken(base.Token())
	client.SetMaxRetries(0)
	client.SetClientTimeout(requestTimeout)
	config := client.CloneConfig()
	if transport, ok := config.HttpClient.Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = workers
	}
	return client, nil
}

// operation makes one request. ok is false when there is nothing left to do.
type operation func(ctx context.Context) (ok bool, err error)

// run makes requests with a number of workers until do has nothing left to do or the time is over; no time limit if
// it is zero. The first error ends the run.
func run(ctx context.Context, workers int, limit time.Duration, do operation) (latencies []time.Duration, elapsed time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	perWorker := make([][]time.Duration, workers)
	var group sync.WaitGroup
	for i := range workers {
		group.Go(func() {
			for ctx.Err() == nil && (limit == 0 || time.Since(begin) < limit) {
				sent := time.Now()
				ok, err := do(ctx)
				if err != nil {
					cancel(err)
					return
				}
				if !ok {
					return
				}
				perWorker[i] = append(perWorker[i], time.Since(sent))
			}
		})
	}
	group.Wait()
	elapsed = time.Since(begin)
	if err := context.Cause(ctx); err != nil {
		return nil, 0, err
	}
	for _, own := range perWorker {
		latencies = append(latencies, own...)
	}
	return latencies, elapsed, nil
}

// leases is a list of lease ids that workers fill and empty.
type leases struct {
	mu  sync.Mutex
	ids []string
}

func (l *leases) add(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ids = append(l.ids, id)
}

// read returns an operation that reads a path and keeps the leases.
func (l *leases) read(client *api.Client, path string) operation {
	return func(ctx context.Context) (bool, error) {
		secret, err := client.Logical().ReadWithContext(ctx, path)
		if err != nil {
			return false, err
		}
		if secret == nil || secret.LeaseID == "" {
			return false, fmt.Errorf("%s has returned no lease", path)
		}
		l.add(secret.LeaseID)
		return true, nil
	}
}

// each returns an operation that does something for one lease after the other.
func (l *leases) each(do func(ctx context.Context, id string) error) operation {
	var next atomic.Int64
	return func(ctx context.Context) (bool, error) {
		i := int(next.Add(1)) - 1
		if i >= len(l.ids) {
			return false, nil
		}
		return true, do(ctx, l.ids[i])
	}
}

func (l *leases) renew(client *api.Client) operation {
	return l.each(func(ctx context.Context, id string) error {
		_, err := client.Sys().RenewWithContext(ctx, id, 0)
		return err
	})
}

// revoke waits for each revocation to be complete.
func (l *leases) revoke(client *api.Client) operation {
	return l.each(func(ctx context.Context, id string) error {
		return client.Sys().RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: id, Sync: true})
	})
}
