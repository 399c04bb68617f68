package pool

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// fakeConnection counts how it ends.
type fakeConnection struct {
	provider.Connection
	closed, loggedOut atomic.Int32
	panics            bool // in Close and Logout
	// answers, if it is not nil, is closed when the vendor answers a logout.
	answers chan struct{}
}

func (c *fakeConnection) Close() {
	c.closed.Add(1)
	if c.panics {
		panic("driver")
	}
}

func (c *fakeConnection) Logout(ctx context.Context) error {
	if c.panics {
		panic("driver")
	}
	if c.answers != nil {
		select {
		case <-c.answers:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.loggedOut.Add(1)
	return nil
}

// newTestPool returns a pool whose connections are fakes, and the last one that was opened.
func newTestPool(panics bool) (p *Pool, last func() *fakeConnection) {
	p = New(Options{Clock: provider.SystemClock{}, Logger: hclog.NewNullLogger, BreakerPause: time.Second})
	var opened *fakeConnection
	p.openFunc = func(logical.Storage, string, *store.Config) (provider.Connection, error) {
		opened = &fakeConnection{panics: panics}
		return opened, nil
	}
	return p, func() *fakeConnection { return opened }
}

func TestPool_ConnectionIsReplaced_EndsWithItsLastUser(t *testing.T) {
	p, last := newTestPool(false)
	for name, test := range map[string]struct {
		replace           func()
		closed, loggedOut int32
	}{
		"config changed here":  {func() { p.Swap(t.Context(), nil, "edge", nil, &store.Config{ConnectionID: "2"}, &fakeConnection{}) }, 0, 1},
		"deleted":              {func() { p.Remove(t.Context(), "edge") }, 0, 1},
		"changed on a node":    {func() { p.Detach("edge") }, 1, 0},
		"mount goes away":      {func() { p.DetachAll() }, 1, 0},
		"opened with new root": {func() { acquireAndRelease(t, p, "3") }, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p.Detach("edge")
			conn, err := p.Acquire(nil, "edge", &store.Config{ConnectionID: "1"})
			require.NoError(t, err)
			opened := last()
			test.replace()
			require.Zero(t, opened.closed.Load()+opened.loggedOut.Load(), "a caller uses it")
			require.False(t, conn.Retain(), "a retired connection takes no new users")
			conn.Release()
			p.AwaitLogouts(t.Context())
			require.Equal(t, test.closed, opened.closed.Load())
			require.Equal(t, test.loggedOut, opened.loggedOut.Load())
		})
	}
}

// acquireAndRelease acquires the connection of a config that has this connection id, and releases it.
func acquireAndRelease(t *testing.T, p *Pool, connectionID string) {
	t.Helper()
	conn, err := p.Acquire(nil, "edge", &store.Config{ConnectionID: connectionID})
	require.NoError(t, err)
	conn.Release()
}

// newSilentPool returns a pool with a connection in use, whose vendor does not answer a logout.
func newSilentPool(t *testing.T) (*Pool, *Conn, *fakeConnection) {
	t.Helper()
	p, last := newTestPool(false)
	conn, err := p.Acquire(nil, "edge", &store.Config{ConnectionID: "1"})
	require.NoError(t, err)
	last().answers = make(chan struct{})
	return p, conn, last()
}

// The last user of a replaced connection can be a request that reads a credential. It does not wait for the logout.
func TestRelease_LogoutHangs_DoesNotWait(t *testing.T) {
	p, conn, opened := newSilentPool(t)
	p.Remove(t.Context(), "edge")
	conn.Release()
	require.Zero(t, opened.loggedOut.Load())
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	p.AwaitLogouts(canceled)
	close(opened.answers)
	p.AwaitLogouts(t.Context())
	require.Equal(t, int32(1), opened.loggedOut.Load())
}

func TestRemove_ConfigWithSharedRoot_ItsLimitCountsNoMore(t *testing.T) {
	p, _ := newTestPool(false)
	limited, other := &store.Config{RequestsPerMinute: 30}, &store.Config{RequestsPerMinute: 60}
	p.setLimit("limited", limited)
	p.setLimit("other", other)
	require.Equal(t, 30, limitOf(p.pacers, p.auth.pacedOf(other)))
	p.Remove(t.Context(), "limited")
	require.Equal(t, 60, limitOf(p.pacers, p.auth.pacedOf(other)))
}

// After a restart, the login of the previous config is in storage only, and a connection that opens it can end it.
func TestSwap_PreviousIsNotOpen_EndsItsLogin(t *testing.T) {
	p, last := newTestPool(false)
	p.Swap(t.Context(), nil, "edge", &store.Config{ConnectionID: "1"}, &store.Config{ConnectionID: "2"}, &fakeConnection{})
	require.NotNil(t, last())
	require.EqualValues(t, 1, last().loggedOut.Load())
}

// The operator learns which login is left. A driver that panics takes nothing else with it.
func TestPool_ConnectionCannotEnd_IsLogged(t *testing.T) {
	for name, test := range map[string]struct {
		end    func(*Pool)
		panics bool
		logged string
	}{
		"logout":        {func(p *Pool) { p.Remove(t.Context(), "edge") }, false, ""},
		"logout panics": {func(p *Pool) { p.Remove(t.Context(), "edge") }, true, "login could not be ended; it lives until it expires: config=edge"},
		"close":         {func(p *Pool) { p.Detach("edge") }, false, ""},
		"close panics":  {func(p *Pool) { p.Detach("edge") }, true, "a connection could not be closed"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := newTestPool(test.panics)
			var log bytes.Buffer
			p.options.Logger = func() hclog.Logger { return hclog.New(&hclog.LoggerOptions{Output: &log}) }
			acquireAndRelease(t, p, "1")
			test.end(p)
			p.AwaitLogouts(t.Context())
			if test.logged == "" {
				require.Empty(t, log.String())
			}
			require.Contains(t, log.String(), test.logged)
		})
	}
}

// The write of a config waits for the logout of its previous connection, and no longer than its caller does.
func TestSwap_LogoutHangs_WaitsForTheCallerOnly(t *testing.T) {
	for name, end := range map[string]func(*Pool, context.Context){
		"swapped": func(p *Pool, ctx context.Context) {
			p.Swap(ctx, nil, "edge", nil, &store.Config{ConnectionID: "2"}, &fakeConnection{})
		},
		"removed": func(p *Pool, ctx context.Context) { p.Remove(ctx, "edge") },
		"never taken": func(p *Pool, ctx context.Context) {
			p.Logout(ctx, "edge", &fakeConnection{answers: make(chan struct{})})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, conn, opened := newSilentPool(t)
			conn.Release()
			ctx, cancel := context.WithCancel(t.Context())
			returned := make(chan struct{})
			go func() { end(p, ctx); close(returned) }()
			select {
			case <-returned:
				require.Fail(t, "it did not wait")
			case <-time.After(10 * time.Millisecond):
			}
			cancel()
			<-returned
			require.Zero(t, opened.loggedOut.Load())
			p.Close()
		})
	}
}

func TestClose_LogoutHangs_EndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, conn, opened := newSilentPool(t)
		p.Remove(t.Context(), "edge")
		conn.Release()
		began := time.Now()
		p.Close()
		require.Zero(t, time.Since(began), "its context ends")
		require.Zero(t, opened.loggedOut.Load())
		p.AwaitLogouts(t.Context())
	})
}

// Check implements [provider.Connection].
func (c *checkedConnection) Check(ctx context.Context) (*provider.CheckResult, error) {
	c.checks.Add(1)
	return &provider.CheckResult{}, ctx.Err()
}

// checkedConnection accepts each login.
type checkedConnection struct {
	provider.Connection
	checks atomic.Int32
}

// Only an operator's check asks a vendor that has asked to back off, or whose breaker is open, and lifts both.
func TestCheck_ByTheEngine_LiftsNothing(t *testing.T) {
	p, _ := newTestPool(false)
	opened := &checkedConnection{}
	conn := p.wrap("edge", opened, &store.Config{ConnectionID: "1"}, 1)
	limited := &provider.Error{Class: provider.ClassRateLimited, RetryAfter: time.Minute}
	conn.observe(OperationRevoke, limited, time.Now())
	openBreaker(t, conn.operations, OperationIssue)
	openBreaker(t, conn.operations, OperationCheck)

	_, err := p.Check(t.Context(), conn, "vendor")
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.Zero(t, opened.checks.Load())
	conn.operations.reset(OperationCheck)
	_, err = p.Check(t.Context(), conn, "vendor")
	require.NoError(t, err)
	require.Error(t, p.Refusal(conn, OperationRevoke), "the vendor's Retry-After lasts")
	require.Error(t, p.Refusal(conn, OperationIssue), "the breaker is open")

	openBreaker(t, conn.operations, OperationCheck)
	_, err = p.Check(WithProbe(t.Context()), conn, "vendor")
	require.NoError(t, err)
	for _, operation := range []string{OperationRevoke, OperationIssue, OperationCheck} {
		require.NoError(t, p.Refusal(conn, operation))
	}
}

// Of two writes at the same time, the later one's connection must stay, whatever their order here.
func TestSwap_ConfigWasStoredAgain_KeepsTheLaterConnection(t *testing.T) {
	stored := "2"
	p := New(Options{
		Clock: provider.SystemClock{}, Logger: hclog.NewNullLogger, BreakerPause: time.Second,
		Stored: func(context.Context, logical.Storage, string) (*store.Config, error) {
			return &store.Config{Revision: stored}, nil
		},
	})
	first, second := &fakeConnection{}, &fakeConnection{}
	p.Swap(t.Context(), nil, "edge", nil, &store.Config{ConnectionID: "b", Revision: "2"}, second)
	p.Swap(t.Context(), nil, "edge", nil, &store.Config{ConnectionID: "a", Revision: "1"}, first)
	conn, err := p.Acquire(nil, "edge", &store.Config{ConnectionID: "b", Revision: "2"})
	require.NoError(t, err)
	defer conn.Release()
	require.Same(t, second, conn.Connection)
	require.Zero(t, second.loggedOut.Load())
	require.EqualValues(t, 1, first.loggedOut.Load(), "its login is not left behind")
}
