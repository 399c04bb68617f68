package pool

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// entryOf is a config with a password.
func entryOf(password string) *store.Config {
	return &store.Config{Vendor: "vendor", Address: "vendor:443", Fields: map[string]any{"username": "u", "password": password}}
}

// expiring is a login whose root credential expires.
type expiring struct {
	login
	at time.Time
}

func (e expiring) Check(ctx context.Context) (*provider.CheckResult, error) {
	checked, err := e.login.Check(ctx)
	if err == nil {
		checked.RootExpiresAt = e.at
	}
	return checked, err
}

func TestRootStatus_Outcomes_AreThoseOfTheRootCredential(t *testing.T) {
	a := newAccount()
	wrong, right := entryOf("wrong"), entryOf("right")
	require.Equal(t, RootStatus{}, a.pool.RootStatus(right))
	require.Error(t, a.write("u", "wrong"))
	require.True(t, a.pool.RootStatus(wrong).Rejected)
	require.Equal(t, RootStatus{}, a.pool.RootStatus(right), "another root credential of the account")

	ends := a.clock.Now().Add(time.Hour)
	conn := a.pool.wrap("config", expiring{login{a, "right"}, ends}, right, 1)
	_, err := a.pool.Check(t.Context(), conn, "vendor")
	require.NoError(t, err)
	accepted := a.clock.Now()
	require.Equal(t, RootStatus{AcceptedAt: accepted, ExpiresAt: ends}, a.pool.RootStatus(right))

	a.clock.Advance(time.Minute)
	call := func(operation string, err error) {
		_ = a.pool.Call(t.Context(), conn, "vendor", operation, func(context.Context) error { return err })
	}
	call(OperationRevoke, nil)
	call(OperationRenew, nil)
	require.Equal(t, accepted, a.pool.RootStatus(right).AcceptedAt, "these can succeed without a root credential")
	call(OperationIssue, &provider.Error{Class: provider.ClassUnauthenticated, Err: provider.ErrNotSent})
	call(OperationIssue, &provider.Error{Class: provider.ClassForbidden})
	require.False(t, a.pool.RootStatus(right).Rejected)
	call(OperationIssue, &provider.Error{Class: provider.ClassUnauthenticated})
	require.True(t, a.pool.RootStatus(right).Rejected)
	require.Equal(t, accepted, a.pool.RootStatus(right).AcceptedAt)
	a.clock.Set(a.clock.Now().Add(-time.Hour))
	call(OperationList, nil)
	require.False(t, a.pool.RootStatus(right).Rejected, "also after the clock was set back")
	require.Equal(t, ends, a.pool.RootStatus(right).ExpiresAt)
}

func TestRootStatus_ManyRootCredentials_AreBounded(t *testing.T) {
	a := newAccount()
	for i := range maxRoots + 10 {
		root := a.pool.auth.rootOf(entryOf(fmt.Sprint(i)))
		a.pool.observeRoot(root, OperationCheck, nil, a.clock.Now())
	}
	require.LessOrEqual(t, len(a.pool.auth.statuses), maxRoots)
	require.False(t, a.pool.RootStatus(entryOf(fmt.Sprint(maxRoots+9))).AcceptedAt.IsZero(), "the last one is known")
}

func TestBreakerState_HostOfTheConfig_Counts(t *testing.T) {
	a := newAccount()
	conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
	a.pool.open["edge"] = conn
	a.pool.open["core"] = a.pool.wrap("core", login{a, "right"}, entryOf("right"), 1)
	g := &guard{breakers: a.pool.breakers}
	require.Equal(t, BreakerClosed, a.pool.BreakerState("edge"))
	for range breakerThreshold {
		done, err := g.Admit(withConn(t.Context(), conn), "device:443")
		require.NoError(t, err)
		done(&provider.Error{Class: provider.ClassUnavailable, Host: "device:443"})
	}
	require.Equal(t, BreakerOpen, a.pool.BreakerState("edge"))
	require.Equal(t, BreakerClosed, a.pool.BreakerState("core"), "it has sent nothing to that host")
	require.Equal(t, BreakerClosed, a.pool.BreakerState("no-such-config"))
	for i := range 2 * maxHosts {
		conn.addHost(fmt.Sprint(i))
	}
	require.LessOrEqual(t, len(conn.hosts), maxHosts)
}

func TestPace_Waiting_IsObserved(t *testing.T) {
	a := newAccount()
	var waits []time.Duration
	g := &guard{
		breakers: a.pool.breakers, pacer: always(newPacer(a.clock, 0)),
		observeWait: func(waited time.Duration) { waits = append(waits, waited) },
	}
	require.NoError(t, g.Pace(t.Context(), "device:443"))
	require.Equal(t, []time.Duration{0}, waits)
	g.pacer = always(newPacer(a.clock, 1))
	require.NoError(t, g.Pace(t.Context(), "device:443"))
	bounded, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Error(t, g.Pace(bounded, "device:443"), "there is no turn within a second")
	require.Len(t, waits, 3)
}
