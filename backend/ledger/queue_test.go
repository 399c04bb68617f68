package ledger

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// wait adds a request to the queue.
func wait(t *testing.T, l *Ledger, storage logical.Storage, intent Intent) *Waiter {
	t.Helper()
	w, err := l.Wait(t.Context(), storage, intent)
	require.NoError(t, err)
	return w
}

func isReady(w *Waiter) bool {
	select {
	case <-w.Ready():
		return true
	default:
		return false
	}
}

func TestWait_FreedSlots_GoInOrderOfArrival(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	for i := range 3 {
		_, err := l.Reserve(t.Context(), storage, intent(fmt.Sprint(i), 3))
		require.NoError(t, err)
	}
	var waiters []*Waiter
	for i := range 10 {
		waiters = append(waiters, wait(t, l, storage, intent(fmt.Sprintf("w%d", i), 3)))
	}
	for i := range 3 {
		require.NoError(t, l.Remove(t.Context(), storage, "edge", fmt.Sprint(i)))
		for j, w := range waiters {
			require.Equal(t, j <= i, isReady(w), "one slot wakes one request")
		}
		_, err := l.Reserve(t.Context(), storage, intent("late", 3))
		_, full := errors.AsType[*LimitError](err)
		require.True(t, full, "a later request does not overtake: %v", err)
	}
	entry, err := waiters[0].Claim(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, "w0", entry.ID)
	waiters[0].Leave()
	waiters[1].Leave() // it has given up, so that its slot goes on
	require.True(t, isReady(waiters[3]))
	require.False(t, isReady(waiters[4]))
	waiters[4].Leave()
	require.NoError(t, l.Remove(t.Context(), storage, "edge", "w0"))
	require.True(t, isReady(waiters[5]))
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 3, used)
}

func TestWait_RoleLimit_DoesNotDelayOtherRoles(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	greedy := func(id string) Intent {
		limited := intent(id, 2)
		limited.Role, limited.RoleLimit = "greedy", 1
		return limited
	}
	_, err := l.Reserve(t.Context(), storage, greedy("g"))
	require.NoError(t, err)
	_, err = l.Reserve(t.Context(), storage, intent("a", 2))
	require.NoError(t, err)
	first := wait(t, l, storage, greedy("first"))
	second := wait(t, l, storage, intent("second", 2))
	require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"))
	require.False(t, isReady(first))
	require.True(t, isReady(second))
	require.NoError(t, l.Remove(t.Context(), storage, "edge", "g"))
	require.True(t, isReady(first))
}

func TestWait_SlotFreedByTime_IsGivenOnRefusal(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	l := New(Options{Now: clock.Now})
	_, err := l.Reserve(t.Context(), storage, intent("a", 1))
	require.NoError(t, err)
	later := intent("later", 1)
	later.ExpiresAt = start.Add(24 * time.Hour)
	w := wait(t, l, storage, later)
	refused, full := errors.AsType[*LimitError](w.Refusal(t.Context(), storage))
	require.True(t, full)
	require.Equal(t, start.Add(30*time.Minute), refused.NextFree)
	clock.Advance(time.Hour)
	require.NoError(t, w.Refusal(t.Context(), storage))
	entry, err := w.Claim(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, clock.Now(), entry.CreatedAt)
}

func TestWait_ConfigFrozenOrMoved_IsRefused(t *testing.T) {
	for want, end := range map[error]func(*Ledger, logical.Storage) error{
		ErrFrozen: func(l *Ledger, storage logical.Storage) error {
			return l.Freeze(t.Context(), storage, "edge", "first", "a")
		},
		ErrOriginClosed: func(l *Ledger, storage logical.Storage) error {
			return l.CloseOrigin(t.Context(), storage, "edge", "", true)
		},
	} {
		storage, l := &logical.InmemStorage{}, newLedger()
		_, err := l.Reserve(t.Context(), storage, intent("a", 1))
		require.NoError(t, err)
		w := wait(t, l, storage, intent("b", 1))
		require.NoError(t, end(l, storage))
		require.True(t, isReady(w))
		_, err = w.Claim(t.Context(), storage)
		require.ErrorIs(t, err, want)
		w.Leave()
	}
}

func TestClaim_StorageFails_GivesTheSlotToTheNext(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	_, err := l.Reserve(t.Context(), storage, intent("a", 1))
	require.NoError(t, err)
	first, second := wait(t, l, storage, intent("b", 1)), wait(t, l, storage, intent("c", 1))
	require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"))
	_, err = first.Claim(t.Context(), storagetest.FailNth(storage, 1, storagetest.Put))
	require.ErrorIs(t, err, storagetest.ErrFailed)
	require.True(t, isReady(second))
}

func TestWait_AnotherNodeWrites_StartsOver(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	_, err := l.Reserve(t.Context(), storage, intent("a", 1))
	require.NoError(t, err)
	w := wait(t, l, storage, intent("b", 1))
	defer w.Leave()
	require.NoError(t, storage.Delete(t.Context(), "ledger/edge/a"))
	l.Invalidate("ledger/edge/a")
	require.True(t, isReady(w))
	entry, err := w.Claim(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, "b", entry.ID)
}

func TestWait_QueueIsFull_IsRefused(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	_, err := l.Reserve(t.Context(), storage, intent("held", 1))
	require.NoError(t, err)
	var first *Waiter
	for i := range MaxWaiters {
		if w := wait(t, l, storage, intent(fmt.Sprintf("w%d", i), 1)); i == 0 {
			first = w
		}
	}
	_, err = l.Wait(t.Context(), storage, intent("late", 1))
	full, isFull := errors.AsType[*LimitError](err)
	require.True(t, isFull, "%v", err)
	require.Equal(t, 1, full.Limit)
	require.True(t, isReady(wait(t, l, storage, intent("other", 3))), "a request that needs no wait gets its slot")
	first.Leave()
	require.False(t, isReady(wait(t, l, storage, intent("late", 1))), "it waits in the place that has become free")
}
