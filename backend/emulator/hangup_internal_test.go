package emulator

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// newEndpoint returns an endpoint without a server, whose vendor issues one credential per request.
func newEndpoint(server context.Context, t *testing.T, fault Fault) *endpoint {
	t.Helper()
	clock := newClock(nil)
	env, err := newEnv(Vendor{Name: "one"}, clock, 1)
	require.NoError(t, err)
	v := &vendor{name: "one", env: env, faults: newFaults(server)}
	fault.Route = AnyRoute
	require.NoError(t, fault.check())
	v.faults.add(fault)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		env.History.Issue(env.Random.UUID(4), KindLeased, "", time.Time{})
	})
	return &endpoint{Endpoint: Endpoint{Handler: handler}, vendor: v, clock: clock, logger: slog.New(slog.DiscardHandler)}
}

// serve serves a request in a goroutine until it ends, and closes the channel then.
func (e *endpoint) serve(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = recover() }() // http.ErrAbortHandler drops a connection
		e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
	}()
	return ended
}

// issued returns the vendor's credentials.
func (e *endpoint) issued() []Credential {
	e.vendor.mu.Lock()
	defer e.vendor.mu.Unlock()
	return e.vendor.env.History.list()
}

// isClosed reports whether the channel is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestDelay_Hangup_EndsItUnlessFinishAfterHangup(t *testing.T) {
	for name, finish := range map[string]bool{"without the flag": false, "with the flag": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEndpoint(t.Context(), t, Fault{Delay: 5 * time.Second, FinishAfterHangup: finish})
				client, hangUp := context.WithCancel(t.Context())
				ended, began := e.serve(client), time.Now()
				time.Sleep(2 * time.Second)
				hangUp()
				synctest.Wait()
				require.Equal(t, !finish, isClosed(ended))
				require.Empty(t, e.issued())

				<-ended
				if !finish {
					require.Empty(t, e.issued())
					return
				}
				require.Equal(t, 5*time.Second, time.Since(began), "the whole delay")
				require.Len(t, e.issued(), 1)
			})
		})
	}
}

func TestFinishAfterHangup_ResetOrClose_EndsTheDelay(t *testing.T) {
	for name, end := range map[string]func(e *endpoint, stop func()){
		"reset": func(e *endpoint, _ func()) { e.vendor.faults.reset() },
		"close": func(_ *endpoint, stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, stop := context.WithCancel(t.Context())
				defer stop()
				e := newEndpoint(server, t, Fault{Delay: time.Hour, FinishAfterHangup: true})
				ended, began := e.serve(t.Context()), time.Now()
				synctest.Wait()
				require.False(t, isClosed(ended))
				end(e, stop)
				<-ended
				require.Zero(t, time.Since(began))
				require.Empty(t, e.issued())
			})
		})
	}
}

func TestFinishAfterHangup_ResetAfterTheDelay_StopsTheWork(t *testing.T) {
	e := newEndpoint(t.Context(), t, Fault{Delay: time.Hour, FinishAfterHangup: true})
	fault, work := e.vendor.faults.take(t.Context(), http.MethodPost, "/", "")
	e.vendor.faults.reset() // while the request waits for the vendor's lock
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	require.Nil(t, e.act(work, request, nil, fault))
	require.Empty(t, e.issued())
}

func TestDrain_AfterClose_DropsRequests(t *testing.T) {
	var d drain
	served := 0
	handler := d.handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
	handler.ServeHTTP(httptest.NewRecorder(), request)
	d.close()
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { handler.ServeHTTP(httptest.NewRecorder(), request) })
	require.Equal(t, 1, served)
}
