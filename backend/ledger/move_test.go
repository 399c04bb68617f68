package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// A marker that is searched can be searched only at the address where its credential was asked for.
func TestCloseOrigin_SlotReleased_IsRejected(t *testing.T) {
	for _, state := range []State{StateSearching, StateRevoking} {
		t.Run(string(state), func(t *testing.T) {
			storage, l := &logical.InmemStorage{}, newLedger()
			entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
			require.NoError(t, err)
			entry.State, entry.SlotReleased = state, true
			require.NoError(t, l.Update(t.Context(), storage, entry))
			inUse, ok := errors.AsType[*InUseError](l.CloseOrigin(t.Context(), storage, "edge", "here", false))
			require.True(t, ok)
			require.Equal(t, 1, inUse.Used)
			require.Equal(t, state == StateSearching, inUse.Searched == 1)
			require.NoError(t, l.CloseOrigin(t.Context(), storage, "edge", "here", true), "forced")
		})
	}
}

func TestCloseOrigin_SearchOutlastsExpiry_IsRejected(t *testing.T) {
	storage := &logical.InmemStorage{}
	now := start
	l := New(Options{Now: func() time.Time { return now }})
	entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	entry.State, entry.SlotReleased = StateSearching, true
	require.NoError(t, l.Update(t.Context(), storage, entry))
	now = start.Add(2 * time.Hour)
	require.ErrorContains(t, l.CloseOrigin(t.Context(), storage, "edge", "here", false), "searched")
}

// Of two moves at the same time, the one that loses must not open the origin that the other one has left.
func TestOpenOrigin_AnotherMoveSucceeded_StaysClosed(t *testing.T) {
	late := intent("a", 0)
	late.Origin = "here"
	for name, end := range map[string]func(*Ledger){
		"the loser ends last":  func(l *Ledger) { l.LeaveOrigin("edge", "here"); l.OpenOrigin("edge", "here") },
		"the loser ends first": func(l *Ledger) { l.OpenOrigin("edge", "here"); l.LeaveOrigin("edge", "here") },
		"one is running":       func(l *Ledger) { l.OpenOrigin("edge", "here") },
	} {
		t.Run(name, func(t *testing.T) {
			storage, l := &logical.InmemStorage{}, newLedger()
			for range 2 {
				require.NoError(t, l.CloseOrigin(t.Context(), storage, "edge", "here", false))
			}
			end(l)
			_, err := l.Reserve(t.Context(), storage, late)
			require.ErrorIs(t, err, ErrOriginClosed)
		})
	}
}

func TestEnterOrigin_MovedBack_ReservesAgain(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	require.NoError(t, l.CloseOrigin(t.Context(), storage, "edge", "here", false))
	l.LeaveOrigin("edge", "here")
	l.EnterOrigin("edge", "here")
	back := intent("a", 0)
	back.Origin = "here"
	_, err := l.Reserve(t.Context(), storage, back)
	require.NoError(t, err)
}

func TestFreeze_ExceptedEntries_AreNotInUse(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	for _, id := range []string{"a", "b"} {
		_, err := l.Reserve(t.Context(), storage, intent(id, 0))
		require.NoError(t, err)
	}
	inUse, ok := errors.AsType[*InUseError](l.Freeze(t.Context(), storage, "edge", "first", "a"))
	require.True(t, ok)
	require.Equal(t, 1, inUse.Used)
	require.NoError(t, l.Freeze(t.Context(), storage, "edge", "first", "a", "b"))
	_, err := l.Reserve(t.Context(), storage, intent("c", 0))
	require.ErrorIs(t, err, ErrFrozen)
}
