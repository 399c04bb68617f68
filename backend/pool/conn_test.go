package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// call makes a call whose outcome is given, and reports whether it was made.
func call(t *testing.T, a *account, conn *Conn, operation string, outcome error) (err error, made bool) { //nolint:revive // the error is the main result
	t.Helper()
	err = a.pool.Call(t.Context(), conn, "vendor", operation, func(context.Context) error { made = true; return outcome })
	return err, made
}

func TestCall_RetryAfter_IsKeptForTheOperation(t *testing.T) {
	for name, test := range map[string]struct {
		operation string
		class     provider.Class
		after     time.Duration
		pause     time.Duration
	}{
		"rate limited":       {OperationRevoke, provider.ClassRateLimited, 30 * time.Second, 30 * time.Second},
		"unavailable":        {OperationRevoke, provider.ClassUnavailable, 30 * time.Second, 30 * time.Second},
		"bounded":            {OperationRevoke, provider.ClassRateLimited, time.Hour, maxBackoff},
		"bounded for issues": {OperationIssue, provider.ClassRateLimited, time.Hour, maxIssueBackoff},
		"without a time":     {OperationRevoke, provider.ClassRateLimited, 0, 0},
		"another class":      {OperationRevoke, provider.ClassForbidden, 30 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount()
			conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
			_, made := call(t, a, conn, test.operation, &provider.Error{Class: test.class, RetryAfter: test.after})
			require.True(t, made)
			_, made = call(t, a, conn, OperationList, nil)
			require.True(t, made, "another operation")
			if test.pause == 0 {
				_, made = call(t, a, conn, test.operation, nil)
				require.True(t, made)
				return
			}
			a.clock.Advance(test.pause - time.Second)
			err, made := call(t, a, conn, test.operation, nil)
			require.False(t, made)
			require.ErrorIs(t, err, provider.ErrNotSent)
			require.Equal(t, time.Second, provider.RetryAfterOf(err))
			a.clock.Advance(time.Second)
			_, made = call(t, a, conn, test.operation, nil)
			require.True(t, made)
		})
	}
}

func TestCall_ClockSetBack_EndsThePause(t *testing.T) {
	a := newAccount()
	conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
	_, _ = call(t, a, conn, OperationIssue, &provider.Error{Class: provider.ClassRateLimited, RetryAfter: time.Hour})
	_, made := call(t, a, conn, OperationIssue, nil)
	require.False(t, made, "the longest pause")
	a.clock.Advance(-time.Second)
	_, made = call(t, a, conn, OperationIssue, nil)
	require.True(t, made, "a longer one began by a clock that was ahead")
}

// A request that was not sent, because the root credential was rejected before, is refused without asking the driver again.
func TestRefusal_NotSent_IsRepeatedWhileItsReasonLasts(t *testing.T) {
	notSent := func(class provider.Class, host string, after time.Duration) error {
		return &provider.Error{Class: class, Host: host, RetryAfter: after, Err: provider.ErrNotSent}
	}
	for name, test := range map[string]struct {
		outcome  error
		repeated time.Duration
	}{
		"rejected":               {notSent(provider.ClassUnauthenticated, "", 30*time.Second), 30 * time.Second},
		"rejected for long":      {notSent(provider.ClassUnauthenticated, "", time.Hour), maxBlocked},
		"rejected without time":  {notSent(provider.ClassUnauthenticated, "", 0), 0},
		"its turn did not come":  {notSent(provider.ClassRateLimited, "", 30*time.Second), 0},
		"a host that is blocked": {notSent(provider.ClassUnavailable, "h", 30*time.Second), 30 * time.Second},
		"no error of a driver":   {fmt.Errorf("x: %w", provider.ErrNotSent), 0},
		"it was sent":            {&provider.Error{Class: provider.ClassUnauthenticated, RetryAfter: 30 * time.Second}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAccount()
			conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
			_, _ = call(t, a, conn, OperationIssue, test.outcome)
			require.NoError(t, a.pool.Refusal(conn, OperationList))
			if test.repeated == 0 {
				require.NoError(t, a.pool.Refusal(conn, OperationIssue))
				return
			}
			require.Equal(t, test.outcome, a.pool.Refusal(conn, OperationIssue))
			a.clock.Advance(test.repeated - time.Second)
			rest := *test.outcome.(*provider.Error) //nolint:errorlint // it is not wrapped
			rest.RetryAfter -= test.repeated - time.Second
			require.Equal(t, error(&rest), a.pool.Refusal(conn, OperationIssue), "with the time that is left")
			a.clock.Advance(time.Second)
			require.NoError(t, a.pool.Refusal(conn, OperationIssue))
			a.clock.Advance(-time.Second)
			require.NoError(t, a.pool.Refusal(conn, OperationIssue), "it has ended permanently")
		})
	}
}

func TestRefusal_ClockSetBack_IsNotRepeated(t *testing.T) {
	a := newAccount()
	conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
	rejected := &provider.Error{Class: provider.ClassUnauthenticated, RetryAfter: time.Hour, Err: provider.ErrNotSent}
	_, _ = call(t, a, conn, OperationIssue, rejected)
	require.Error(t, a.pool.Refusal(conn, OperationIssue))
	a.clock.Advance(-time.Second)
	require.NoError(t, a.pool.Refusal(conn, OperationIssue))
}

func TestRefusal_HostIsOpen_IsRepeatedUntilItCloses(t *testing.T) {
	a := newAccount()
	conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
	unanswered := &provider.Error{Class: provider.ClassUnavailable, Host: "h"}
	for range breakerThreshold {
		done, err := a.pool.breakers.admit(t.Context(), "h")
		require.NoError(t, err)
		done(unanswered)
	}
	blocked := &provider.Error{Class: provider.ClassUnavailable, Host: "h", Err: provider.ErrNotSent}
	_, _ = call(t, a, conn, OperationIssue, blocked)
	require.Equal(t, error(blocked), a.pool.Refusal(conn, OperationIssue))

	timed := *blocked
	timed.RetryAfter = 30 * time.Second
	_, _ = call(t, a, conn, OperationIssue, &timed)
	a.clock.Advance(timed.RetryAfter)
	require.Equal(t, error(&timed), a.pool.Refusal(conn, OperationIssue), "it has opened again")
}

func TestTakeAuthFailure_RejectedRoot_IsReportedOnce(t *testing.T) {
	a := newAccount()
	conn := a.pool.wrap("edge", login{a, "right"}, entryOf("right"), 1)
	_, _ = call(t, a, conn, OperationIssue, &provider.Error{Class: provider.ClassForbidden})
	_, _ = call(t, a, conn, OperationIssue, errors.New("no error of a driver"))
	require.False(t, conn.TakeAuthFailure())
	_, _ = call(t, a, conn, OperationIssue, &provider.Error{Class: provider.ClassUnauthenticated})
	require.True(t, conn.TakeAuthFailure())
	require.False(t, conn.TakeAuthFailure())
}

// keyOf returns one of many root credentials.
func keyOf(i int) rootKey { return rootKey{byte(i), byte(i >> 8), byte(i >> 16), 1} }

// Config writes with ever new passwords must not fill the memory.
func TestAuthMemory_ManyRoots_IsBounded(t *testing.T) {
	memory := newAccount().pool.auth
	sizes := func() [3]int {
		return [3]int{len(memory.backoffs), len(memory.rejections), len(memory.statuses)}
	}
	add := func(i int) {
		memory.backoff(keyOf(i), 0, 0)
		memory.recordRejection(keyOf(i))
		memory.changeStatus(keyOf(i), func(s *RootStatus) { s.Rejected = true })
	}
	for i := range maxRoots {
		add(i)
	}
	require.Equal(t, [3]int{maxRoots, maxRoots, maxRoots}, sizes())
	add(0)
	require.Equal(t, [3]int{maxRoots, maxRoots, maxRoots}, sizes(), "it is known")
	memory.clock.(interface{ Advance(time.Duration) }).Advance(accountWindow)
	add(maxRoots)
	require.Equal(t, [3]int{1, 1, 1}, sizes(), "those that are idle are forgotten")
}
