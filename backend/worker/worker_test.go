package worker_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/worker"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// start starts a worker for these configs.
func start(t *testing.T, turn func(context.Context, string) (bool, error), names ...string) *worker.Worker {
	t.Helper()
	w := worker.Start(worker.Options{
		Names:  func(context.Context) ([]string, error) { return names, nil },
		Turn:   turn,
		Logger: hclog.NewNullLogger,
	})
	t.Cleanup(w.Stop)
	return w
}

func TestWorker_Backlog_OthersHaveTheirTurnNextToIt(t *testing.T) {
	others := []string{"b", "c", "d", "e", "f"}
	var waiting sync.WaitGroup
	waiting.Add(len(others))
	var turns atomic.Int64
	w := start(t, func(_ context.Context, name string) (bool, error) {
		if name != "backlog" {
			waiting.Done()
			return false, nil
		}
		if turns.Add(1) == 2 {
			waiting.Wait() // they have their turns while the backlog has its second one
		}
		return turns.Load() < 5, nil
	}, append([]string{"backlog"}, others...)...)
	w.Flush(t.Context())
	require.Equal(t, int64(5), turns.Load())
}

// Any number of vendors that never answer leaves places for those that do.
func TestWorker_SilentVendors_DelayNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "working"}
		var served atomic.Int64
		var at atomic.Int64
		w := worker.Start(worker.Options{
			Names: func(context.Context) ([]string, error) { return names, nil },
			Turn: func(ctx context.Context, name string) (bool, error) {
				if name == "working" {
					served.Add(1)
					at.Store(time.Now().UnixNano())
					return false, nil
				}
				<-ctx.Done() // the vendor does not answer
				return false, ctx.Err()
			},
			Logger: hclog.NewNullLogger,
		})
		defer w.Stop()
		for minute := range 5 {
			woken := time.Now()
			w.Wake()
			time.Sleep(time.Minute)
			require.Equal(t, int64(minute+1), served.Load())
			require.LessOrEqual(t, time.Unix(0, at.Load()).Sub(woken), time.Minute)
			if minute > 0 {
				require.Zero(t, time.Unix(0, at.Load()).Sub(woken), "configs that fail do not take all places")
			}
		}
	})
}

func TestWorker_OneConfig_IsNeverServedTwiceAtOnce(t *testing.T) {
	var running, most atomic.Int64
	w := start(t, func(context.Context, string) (bool, error) {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		return false, nil
	}, "only")
	for range 200 {
		w.Wake()
	}
	w.Flush(t.Context())
	require.Equal(t, int64(1), most.Load())
}

func TestWorker_TurnPanicsOrFails_OthersAreServed(t *testing.T) {
	var served atomic.Int64
	w := start(t, func(_ context.Context, name string) (bool, error) {
		switch name {
		case "panics":
			panic("driver")
		case "fails":
			return false, errors.New("no")
		}
		served.Add(1)
		return false, nil
	}, "panics", "fails", "works")
	w.Flush(t.Context())
	w.Flush(t.Context())
	require.Equal(t, int64(2), served.Load())
}

func TestStop_TurnHangs_ReturnsWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		begun := make(chan struct{})
		w := worker.Start(worker.Options{
			Names: func(context.Context) ([]string, error) { return []string{"a"}, nil },
			Turn: func(context.Context, string) (bool, error) {
				close(begun)
				<-hang // a driver that ignores its context
				return false, nil
			},
			Logger: hclog.NewNullLogger,
		})
		w.Wake()
		<-begun
		before := time.Now()
		w.Stop()
		require.LessOrEqual(t, time.Since(before), time.Second)
		close(hang)
	})
}

func TestStop_TurnHonoursItsContext_LeavesNothingRunning(t *testing.T) {
	var ended atomic.Bool
	begun := make(chan struct{})
	w := start(t, func(ctx context.Context, _ string) (bool, error) {
		close(begun)
		<-ctx.Done()
		ended.Store(true)
		return false, ctx.Err()
	}, "a")
	w.Wake()
	<-begun
	w.Stop()
	require.True(t, ended.Load())
	w.Wake()
	w.Flush(t.Context()) // after the end, nothing happens
}

// One credential that the vendor always refuses makes each turn of its config fail. The vendor answers, so that the
// turns are short, and the config needs no place that is kept for others.
func TestWorker_TurnsFailFast_AreNotSlow(t *testing.T) {
	const configs = worker.Parallel
	var names []string
	for i := range configs {
		names = append(names, string(rune('a'+i)))
	}
	together := make(chan struct{}, configs)
	var second atomic.Bool
	w := start(t, func(ctx context.Context, _ string) (bool, error) {
		if second.Load() {
			// All configs have their second turns at the same time.
			together <- struct{}{}
			for len(together) < configs {
				select {
				case <-ctx.Done():
					return false, ctx.Err()
				case <-time.After(time.Millisecond):
				}
			}
		}
		return false, errors.New("one credential is refused")
	}, names...)
	w.Flush(t.Context())
	second.Store(true)
	limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	w.Flush(limited)
	require.NoError(t, limited.Err(), "failing turns wait for each other")
	require.Len(t, together, configs)
}

func TestWorker_ListingPanics_NextOneIsServed(t *testing.T) {
	var listings, served atomic.Int64
	w := worker.Start(worker.Options{
		Names: func(context.Context) ([]string, error) {
			if listings.Add(1) == 1 {
				panic("storage")
			}
			return []string{"a"}, nil
		},
		Turn:   func(context.Context, string) (bool, error) { served.Add(1); return false, nil },
		Logger: hclog.NewNullLogger,
	})
	defer w.Stop()
	w.Flush(t.Context())
	require.Zero(t, served.Load())
	w.Flush(t.Context())
	require.Equal(t, int64(1), served.Load())
}
