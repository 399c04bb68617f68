package lease

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestClockWatch_Jump_IsUnsteadyUntilSettled(t *testing.T) {
	for name, jump := range map[string]time.Duration{
		"ahead": 24 * time.Hour, "back": -24 * time.Hour, "after the machine was suspended": 2 * time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			watch, wall, elapsed := clockWatch{}, start, time.Hour
			pass := func(d time.Duration) bool {
				wall, elapsed = wall.Add(d), elapsed+d
				return watch.steady(wall, elapsed)
			}
			require.False(t, pass(0), "the process has just begun")
			require.False(t, pass(ClockSettle-time.Second))
			require.True(t, pass(time.Second))
			require.True(t, pass(24*time.Hour), "the time that passes is no jump")
			wall = wall.Add(jump)
			require.False(t, pass(time.Minute))
			require.False(t, pass(ClockSettle-time.Minute))
			wall = wall.Add(-jump) // set right
			require.False(t, pass(ClockSettle-time.Second))
			require.True(t, pass(ClockSettle))
		})
	}
}

func TestClockWatch_SmallSteps_StaySteady(t *testing.T) {
	watch := clockWatch{}
	watch.steady(start, 0)
	require.True(t, watch.steady(start.Add(ClockSettle+clockTolerance), ClockSettle))
}

// The pauses were computed while the clock was a day ahead.
func TestNextAction_ClockSetBack_IsDueNow(t *testing.T) {
	ahead := start.Add(24 * time.Hour)
	for name, test := range map[string]struct {
		entry ledger.Entry
		want  action
	}{
		"revoking":  {ledger.Entry{State: ledger.StateRevoking, NextAttemptAt: ahead}, actionRevoke},
		"searching": {ledger.Entry{State: ledger.StateSearching, NextAttemptAt: ahead.Add(MaxSearchPause)}, actionRevoke},
		"issuing":   {ledger.Entry{State: ledger.StateIssuing, CreatedAt: ahead}, actionRevoke},
		"shared":    {ledger.Entry{State: ledger.StateLive, Shared: []byte("{}"), CreatedAt: ahead}, actionCheckHolders},
		"a pause within its bound": {
			ledger.Entry{State: ledger.StateRevoking, NextAttemptAt: start.Add(MaxRetryPause)}, actionNone,
		},
		"a search within its bound": {
			ledger.Entry{State: ledger.StateSearching, NextAttemptAt: start.Add(MaxSearchPause)}, actionNone,
		},
		"an intent of a clock that is a little ahead": {
			ledger.Entry{State: ledger.StateIssuing, CreatedAt: start.Add(IssueDeadline)}, actionNone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.entry.ExpiresAt = ahead.Add(time.Hour)
			require.Equal(t, test.want, nextAction(&test.entry, start, false))
		})
	}
}

func TestSearchUntil_Expiry_IsBounded(t *testing.T) {
	for name, test := range map[string]struct{ life, want time.Duration }{
		"a short life":         {time.Minute, MinSearch},
		"within the bounds":    {8 * time.Hour, 8 * time.Hour},
		"longer than any wait": {90 * 24 * time.Hour, MaxSearch},
	} {
		t.Run(name, func(t *testing.T) {
			entry := &ledger.Entry{CreatedAt: start, ExpiresAt: start.Add(test.life), State: ledger.StateSearching}
			require.Equal(t, start.Add(test.want), SearchUntil(entry))
		})
	}
}

func TestSearchPause_Searches_GrowsToItsMaximum(t *testing.T) {
	var pauses []time.Duration
	for searches := 1; searches <= 8; searches++ {
		pauses = append(pauses, searchPause(searches)/time.Minute)
	}
	require.Equal(t, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}, pauses)
	require.Equal(t, MaxSearchPause, searchPause(1<<20))
}
