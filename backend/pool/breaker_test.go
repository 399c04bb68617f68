package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// unansweredErr is the error of a request to a host that does not answer.
func unansweredErr() error {
	return &provider.Error{Class: provider.ClassUnavailable, Host: "vendor:443", Message: "no answer"}
}

// try lets one request through, and reports its outcome. The result is the breaker's refusal.
func try(t *testing.T, b *breakers, name string, outcome error) error {
	t.Helper()
	done, err := b.admit(t.Context(), name)
	if err == nil {
		done(outcome)
	}
	return err
}

// openBreaker leaves as many requests unanswered as open a breaker.
func openBreaker(t *testing.T, b *breakers, name string) {
	t.Helper()
	for range breakerThreshold {
		require.NoError(t, try(t, b, name, unansweredErr()))
	}
	require.True(t, b.open(name))
}

func TestBreaker_HostDoesNotAnswer_OpensForThatHostOnly(t *testing.T) {
	b := newHostBreakers(time.Hour)
	openBreaker(t, b, "silent:443")
	err := try(t, b, "silent:443", nil)
	require.ErrorIs(t, err, provider.ErrNotSent)
	require.Equal(t, provider.ClassUnavailable, provider.ClassOf(err))
	require.NoError(t, try(t, b, "healthy:443", nil))
	require.False(t, b.open("healthy:443"))
	require.False(t, b.open("never asked:443"))
}

func TestBreaker_Outcomes_CountOnlyIfTheVendorIsSilent(t *testing.T) {
	for name, test := range map[string]struct {
		outcome error
		opens   bool
	}{
		"no answer":                {unansweredErr(), true},
		"answer lost":              {&provider.Error{Class: provider.ClassAmbiguous, Host: "vendor:443"}, true},
		"deadline without answer":  {&provider.Error{Class: provider.ClassUnavailable, Host: "vendor:443", Err: context.DeadlineExceeded}, true},
		"success":                  {nil, false},
		"server error":             {&provider.Error{Class: provider.ClassUnavailable}, false},
		"refused":                  {&provider.Error{Class: provider.ClassUnauthenticated, Host: "vendor:443"}, false},
		"caller gave up":           {&provider.Error{Class: provider.ClassUnavailable, Host: "vendor:443", Err: context.Canceled}, false},
		"too many are waiting":     {errTurn(time.Minute, context.DeadlineExceeded), false},
		"not sent":                 {&provider.Error{Class: provider.ClassUnavailable, Host: "vendor:443", Err: provider.ErrNotSent}, false},
		"another breaker is open":  {errHostOpen("vendor:443", time.Minute), false},
		"not an error of a driver": {errors.New("broken"), false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newHostBreakers(time.Hour)
			for range 2 * breakerThreshold {
				_ = try(t, b, "vendor:443", test.outcome)
			}
			require.Equal(t, test.opens, b.open("vendor:443"))
		})
	}
}

func TestBreaker_NotSentBetweenFailures_ChangesNothing(t *testing.T) {
	b := newHostBreakers(time.Hour)
	for range breakerThreshold - 1 {
		require.NoError(t, try(t, b, "vendor:443", unansweredErr()))
		for range 10 {
			require.NoError(t, try(t, b, "vendor:443", errTurn(time.Minute, context.Canceled)))
		}
	}
	require.False(t, b.open("vendor:443"))
	require.NoError(t, try(t, b, "vendor:443", unansweredErr()))
	require.True(t, b.open("vendor:443"))
}

// What the engine itself decides or fails to do is no answer of the vendor.
func TestBreaker_LocalErrorsBetween_ChangeNothing(t *testing.T) {
	for name, local := range map[string]error{
		"canceled":              &provider.Error{Class: provider.ClassUnavailable, Err: context.Canceled},
		"deadline":              &provider.Error{Class: provider.ClassUnavailable, Err: context.DeadlineExceeded},
		"deadline, sent":        &provider.Error{Class: provider.ClassAmbiguous, Err: context.DeadlineExceeded},
		"storage failed":        &provider.Error{Class: provider.ClassUnavailable, Err: fmt.Errorf("%w: %w", provider.ErrNotSent, errors.New("disk"))},
		"not of a driver":       errors.New("broken"),
		"panic":                 &provider.Error{Class: provider.ClassAmbiguous, Err: &provider.PanicError{Reason: "driver"}},
		"remembered rejection":  &provider.Error{Class: provider.ClassUnauthenticated, Err: provider.ErrNotSent},
		"another breaker":       errOpen("operation renew", time.Minute),
		"no turn in its time":   errTurn(time.Minute, context.DeadlineExceeded),
		"breaker of the host":   errHostOpen("vendor:443", time.Minute),
		"canceled, other class": &provider.Error{Class: provider.ClassInvalid, Err: context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			b := newOperationBreakers(time.Hour)
			for range breakerThreshold - 1 {
				require.NoError(t, try(t, b, OperationIssue, unansweredErr()))
			}
			for range 10 {
				require.NoError(t, try(t, b, OperationIssue, local))
			}
			require.NoError(t, try(t, b, OperationIssue, unansweredErr()))
			require.True(t, b.open(OperationIssue), "it was no answer")
		})
	}
}

func TestBreaker_OfAnOperation_ErrorNamesNoHost(t *testing.T) {
	b := newOperationBreakers(time.Hour)
	openBreaker(t, b, OperationIssue)
	for _, err := range []error{try(t, b, OperationIssue, nil), b.err(OperationIssue)} {
		failure, ok := errors.AsType[*provider.Error](err)
		require.True(t, ok)
		require.Empty(t, failure.Host)
		require.Contains(t, failure.Message, "operation issue")
	}
	hosts := newHostBreakers(time.Hour)
	openBreaker(t, hosts, "vendor:443")
	failure, ok := errors.AsType[*provider.Error](hosts.err("vendor:443"))
	require.True(t, ok)
	require.Equal(t, "vendor:443", failure.Host)
}

func TestBreaker_ManyHosts_StaysBounded(t *testing.T) {
	for name, outcome := range map[string]error{"answer": nil, "no answer": unansweredErr()} {
		t.Run(name, func(t *testing.T) {
			b := newHostBreakers(time.Hour)
			if outcome == nil {
				openBreaker(t, b, "silent:443")
			}
			for i := range 2 * maxBreakers {
				require.NoError(t, try(t, b, fmt.Sprintf("host-%d:443", i), outcome))
			}
			require.LessOrEqual(t, len(b.byName), maxBreakers)
			require.Equal(t, outcome == nil, b.open("silent:443"), "an open breaker is kept")
		})
	}
}

func TestBreaker_PauseEnds_OneRequestDecides(t *testing.T) {
	for name, test := range map[string]struct {
		outcome error
		open    bool
	}{
		"answer":    {&provider.Error{Class: provider.ClassForbidden}, false},
		"no answer": {unansweredErr(), true},
	} {
		synctest.Test(t, func(t *testing.T) { // gobreaker has no clock of its own
			t.Log(name)
			b := newHostBreakers(time.Minute)
			openBreaker(t, b, "vendor:443")
			<-time.After(time.Minute - time.Nanosecond)
			require.True(t, b.open("vendor:443"))
			<-time.After(2 * time.Nanosecond)
			require.False(t, b.open("vendor:443"))
			done, err := b.admit(t.Context(), "vendor:443")
			require.NoError(t, err)
			require.ErrorIs(t, try(t, b, "vendor:443", nil), provider.ErrNotSent, "only one is let through")
			done(test.outcome)
			require.Equal(t, test.open, b.open("vendor:443"))
		})
	}
}

// The request that an open breaker lets through is canceled, or has no turn. The next one is let through instead.
func TestBreaker_ProbeNotSent_NextRequestIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newHostBreakers(time.Minute)
		openBreaker(t, b, "vendor:443")
		<-time.After(time.Minute + time.Nanosecond)
		for range 10 {
			require.NoError(t, try(t, b, "vendor:443", fmt.Errorf("%w: %w", provider.ErrNotSent, context.Canceled)))
		}
		require.NoError(t, try(t, b, "vendor:443", nil))
		require.NoError(t, try(t, b, "vendor:443", nil), "closed")
	})
}

func TestBreaker_OperatorsRequest_PassesAndLifts(t *testing.T) {
	b := newHostBreakers(time.Hour)
	openBreaker(t, b, "vendor:443")
	done, err := b.admit(WithProbe(t.Context()), "vendor:443")
	require.NoError(t, err)
	done(unansweredErr())
	require.True(t, b.open("vendor:443"), "the host still does not answer")
	done, err = b.admit(WithProbe(t.Context()), "vendor:443")
	require.NoError(t, err)
	done(nil)
	require.NoError(t, try(t, b, "vendor:443", nil))
}
