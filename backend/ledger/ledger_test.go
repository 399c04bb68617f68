package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

// start is the time that a new clock shows.
var start = providertest.NewClock().Now()

// newLedger returns a ledger whose clock stands still at start.
func newLedger() *Ledger { return New(Options{Now: providertest.NewClock().Now}) }

func intent(id string, limit int) Intent {
	return Intent{
		ID: id, Marker: "vault-" + id, Config: "edge", Role: "reader", UID: "first",
		ExpiresAt: start.Add(time.Hour), LeaseExpiresAt: start.Add(30 * time.Minute), Limit: limit,
	}
}

func TestReserve_NewIntent_IsStoredBeforeItReturns(t *testing.T) {
	storage := &logical.InmemStorage{}
	entry, err := newLedger().Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)

	stored, err := newLedger().Get(t.Context(), storage, "edge", "a")
	require.NoError(t, err)
	require.Equal(t, entry, stored)
	require.Equal(t, StateIssuing, stored.State)
}

func TestReserve_ConcurrentReaders_NeverExceedTheLimit(t *testing.T) {
	const limit, readers = 3, 50
	storage, l := &logical.InmemStorage{}, newLedger()
	var granted, rejected atomic.Int32
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			_, err := l.Reserve(t.Context(), storage, intent(fmt.Sprint(i), limit))
			if full, ok := errors.AsType[*LimitError](err); ok {
				rejected.Add(1)
				if full.Limit != limit || full.Used != limit {
					t.Errorf("the error names %d of %d", full.Used, full.Limit)
				}
				return
			}
			if err != nil {
				t.Error(err)
			}
			granted.Add(1)
		})
	}
	group.Wait()
	require.EqualValues(t, limit, granted.Load())
	require.EqualValues(t, readers-limit, rejected.Load())
	ids, err := storage.List(t.Context(), StoragePrefix+"edge/")
	require.NoError(t, err)
	require.Len(t, ids, limit)
}

func TestReserve_AfterRestart_CountsWhatStorageHolds(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	before := New(Options{Now: clock.Now})
	for _, id := range []string{"a", "b"} {
		_, err := before.Reserve(t.Context(), storage, intent(id, 2))
		require.NoError(t, err)
	}
	_, err := New(Options{Now: clock.Now}).Reserve(t.Context(), storage, intent("c", 2))
	full, ok := errors.AsType[*LimitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, LimitError{Used: 2, Limit: 2, NextFree: start.Add(30 * time.Minute)}, *full)
}

func TestReserve_ExpiredCredential_FreesItsSlot(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	l := New(Options{Now: clock.Now})
	_, err := l.Reserve(t.Context(), storage, intent("a", 1))
	require.NoError(t, err)
	clock.Advance(time.Hour)
	_, err = l.Reserve(t.Context(), storage, intent("b", 1))
	require.NoError(t, err)
}

func TestReserve_StorageFails_ReservesNothing(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	_, err := l.Reserve(t.Context(), storagetest.FailNth(storage, 1, storagetest.Put), intent("a", 1))
	require.ErrorContains(t, err, "storing the intent")
	_, err = l.Reserve(t.Context(), storage, intent("b", 1))
	require.NoError(t, err, "the slot was given back")
}

func TestFreeze_CredentialLives_IsRejectedUntilRemoved(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	_, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)

	inUse, ok := errors.AsType[*InUseError](l.Freeze(t.Context(), storage, "edge", "first"))
	require.True(t, ok)
	require.Equal(t, 1, inUse.Used)

	require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"))
	require.NoError(t, l.Freeze(t.Context(), storage, "edge", "first"))
	_, err = l.Reserve(t.Context(), storage, intent("b", 0))
	require.ErrorIs(t, err, ErrFrozen)

	next := intent("c", 0)
	next.UID = "second"
	_, err = l.Reserve(t.Context(), storage, next)
	require.NoError(t, err, "a later config of the same name is not frozen")
}

func TestCloseOrigin_CredentialLives_IsRejected(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	l := New(Options{Now: clock.Now})
	_, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	inUse, ok := errors.AsType[*InUseError](l.CloseOrigin(t.Context(), storage, "edge", "here", false))
	require.True(t, ok)
	require.Equal(t, 1, inUse.Used)

	clock.Advance(time.Hour)
	require.NoError(t, l.CloseOrigin(t.Context(), storage, "edge", "here", false), "an expired credential does not count")
}

func TestCloseOrigin_LaterReserve_IsRejectedUntilOpened(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	require.NoError(t, l.CloseOrigin(t.Context(), storage, "edge", "here", false))
	late := intent("a", 0)
	late.Origin = "here"
	_, err := l.Reserve(t.Context(), storage, late)
	require.ErrorIs(t, err, ErrOriginClosed)

	elsewhere := intent("b", 0)
	elsewhere.Origin = "there"
	_, err = l.Reserve(t.Context(), storage, elsewhere)
	require.NoError(t, err)

	l.OpenOrigin("edge", "here")
	_, err = l.Reserve(t.Context(), storage, late)
	require.NoError(t, err)
}

func TestUnfreeze_AfterAFailedDeletion_ReservesAgain(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	require.NoError(t, l.Freeze(t.Context(), storage, "edge", "first"))
	l.Unfreeze("edge")
	_, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
}

func TestList_LiveEntry_HasNoHandle(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	l := New(Options{Now: clock.Now})
	entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	entry.State, entry.Handle = StateLive, json.RawMessage(`{"v":1,"token":"secret"}`)
	require.NoError(t, l.Update(t.Context(), storage, entry))

	for name, reader := range map[string]*Ledger{"the ledger that wrote": l, "a ledger after a restart": New(Options{Now: clock.Now})} {
		entries, err := reader.List(t.Context(), storage, "edge")
		require.NoError(t, err, name)
		require.Len(t, entries, 1, name)
		require.Nil(t, entries[0].Handle, name)
		require.Equal(t, StateLive, entries[0].State, name)
	}
}

// A load that has listed an entry which is removed before it is read must not bring it back.
func TestLoad_EntryRemovedConcurrently_StaysRemoved(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	_, err := New(Options{Now: clock.Now}).Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)

	l := New(Options{Now: clock.Now})
	interrupted := storagetest.Wrap(storage)
	interrupted.After = func(ctx context.Context, operation storagetest.Operation) error {
		if operation.Kind != storagetest.Get {
			return nil
		}
		return l.Remove(ctx, storage, "edge", "a")
	}
	entries, err := l.List(t.Context(), interrupted, "edge")
	require.NoError(t, err)
	require.Empty(t, entries)
	entries, err = l.List(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestUpdate_EntryRemovedOrChanged_StoresNothing(t *testing.T) {
	for name, reload := range map[string]bool{"from memory": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			storage, clock := &logical.InmemStorage{}, providertest.NewClock()
			l := New(Options{Now: clock.Now})
			entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
			require.NoError(t, err)
			if reload {
				l = New(Options{Now: clock.Now})
			}
			stale := *entry
			entry.State = StateLive
			require.NoError(t, l.Update(t.Context(), storage, entry))
			require.ErrorIs(t, l.Update(t.Context(), storage, &stale), ErrChanged)

			require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"))
			require.ErrorIs(t, l.Update(t.Context(), storage, entry), ErrChanged)
			left, err := storage.List(t.Context(), StoragePrefix)
			require.NoError(t, err)
			require.Empty(t, left, "a removed entry is not brought back")
		})
	}
}

func hasHolders(t *testing.T, l *Ledger, storage logical.Storage) bool {
	t.Helper()
	has, err := l.HasHolders(t.Context(), storage, "edge", "a")
	require.NoError(t, err)
	return has
}

func TestAttach_CredentialIsNotLive_IsRejected(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	require.ErrorIs(t, l.Attach(t.Context(), storage, "edge", "a", Holder{ID: "h", LeaseExpiresAt: start}), ErrDraining, "not live yet")
	entry.State, entry.Shared = StateLive, json.RawMessage(`{}`)
	require.NoError(t, l.Update(t.Context(), storage, entry))
	require.False(t, hasHolders(t, l, storage))
	require.NoError(t, l.Attach(t.Context(), storage, "edge", "a", Holder{ID: "h", LeaseExpiresAt: start}))
	require.True(t, hasHolders(t, l, storage))
	require.True(t, hasHolders(t, newLedger(), storage), "as another process reads it")

	last, err := l.Detach(t.Context(), storage, "edge", "a", "h")
	require.NoError(t, err)
	require.True(t, last)
	require.False(t, hasHolders(t, l, storage))
	require.False(t, hasHolders(t, newLedger(), storage), "as another process reads it")
	require.ErrorIs(t, l.Attach(t.Context(), storage, "edge", "a", Holder{ID: "i", LeaseExpiresAt: start}), ErrDraining)
	require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"))
	require.ErrorIs(t, l.Attach(t.Context(), storage, "edge", "a", Holder{ID: "i", LeaseExpiresAt: start}), ErrDraining, "nor after its entry was deleted")
}

func TestInvalidate_AnotherNodeWrote_ReadsAgain(t *testing.T) {
	storage, clock := &logical.InmemStorage{}, providertest.NewClock()
	l, other := New(Options{Now: clock.Now}), New(Options{Now: clock.Now})
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Zero(t, used)
	_, err = other.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)

	require.True(t, l.Invalidate("ledger/edge/a"))
	require.False(t, l.Invalidate("config/edge"))
	used, err = l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 1, used)
}

func TestGet_RecordOfALaterVersion_IsRejected(t *testing.T) {
	storage := &logical.InmemStorage{}
	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{
		Key: "ledger/edge/a", Value: []byte(`{"version":99,"id":"a"}`),
	}))
	_, err := newLedger().Get(t.Context(), storage, "edge", "a")
	require.ErrorContains(t, err, "later version")
}

// The golden file pins the layout of the stored record: a change of it needs a new schema version.
func TestEntry_StoredLayout_IsPinned(t *testing.T) {
	entry := Entry{
		Version: entryVersion, Requester: requester, Check: true, ID: "abcdefgh234567ab", Revision: 3, Origin: "0123abcd", ExpiryNotEnforced: true,
		ShareKey: "reader/R/G", Shared: json.RawMessage(`{"token":"t"}`), MaxExpiresAt: start.Add(2 * time.Hour), LatestExpiresAt: start.Add(3 * time.Hour), Config: "edge", Role: "reader", Marker: "vault-0a1b2c3d-reader-abcdefgh234567ab",
		State: StateRevoking, Handle: json.RawMessage(`{"v":1,"id":7}`),
		CreatedAt: start, ExpiresAt: start.Add(time.Hour), LeaseExpiresAt: start.Add(30 * time.Minute),
		Searches: 4, SlotReleased: true, Attempts: 2, FailingSince: start.Add(-time.Minute), NextAttemptAt: start.Add(time.Minute),
		LastError: "ftd: revoke_token: unreachable",
	}
	encoded, err := json.MarshalIndent(entry, "", "  ")
	require.NoError(t, err)
	golden, err := os.ReadFile(filepath.Join("testdata", "entry_v2.json"))
	require.NoError(t, err)
	require.JSONEq(t, string(golden), string(encoded))

	var decoded Entry
	require.NoError(t, json.Unmarshal(golden, &decoded))
	decoded.Handle, decoded.Shared = entry.Handle, entry.Shared // equal except for white space
	require.Equal(t, entry, decoded)

	earlier, err := os.ReadFile(filepath.Join("testdata", "entry_v1.json"))
	require.NoError(t, err)
	decoded = Entry{}
	require.NoError(t, json.Unmarshal(earlier, &decoded))
	decoded.Handle, decoded.Shared = entry.Handle, entry.Shared
	entry.Version, entry.Requester, entry.Check = 1, Requester{}, false
	require.Equal(t, entry, decoded, "a record of version 1 has no requester and is of no check")
}
