package ledger

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestFreeze_ExceptedSearch_IsNotCounted(t *testing.T) {
	storage := &logical.InmemStorage{}
	fill(t, storage, "edge", 3, func(i int, entry *Entry) {
		if i > 0 {
			entry.State = StateSearching
		}
	})
	live, searching := fmt.Sprintf("e%015d", 0), fmt.Sprintf("e%015d", 1)
	require.Equal(t, &InUseError{Used: 2, Searched: 1}, newLedger().Freeze(t.Context(), storage, "edge", "first", searching))
	require.Equal(t, &InUseError{Used: 2, Searched: 2}, newLedger().Freeze(t.Context(), storage, "edge", "first", live))
	require.Equal(t, "credentials still live: 2", (&InUseError{Used: 2}).Error())
	require.Contains(t, (&InUseError{Used: 2, Searched: 1}).Error(), "the issues of 1 of them were lost")
}

func TestUpdate_KnownEntry_CostsOneWrite(t *testing.T) {
	storage, l := storagetest.Wrap(&logical.InmemStorage{}), newLedger()
	entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	for revision := 1; revision < 4; revision++ {
		require.NoError(t, l.Update(t.Context(), storage, entry))
		require.Equal(t, map[storagetest.Kind]int{storagetest.Put: 1 + revision}, storage.Counts())
		require.Equal(t, revision, entry.Revision, "the revision counts the writes")
	}
}

func TestList_TimesAtTheBound_AreExact(t *testing.T) {
	for _, end := range []time.Time{
		time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2261, 12, 31, 23, 59, 59, 0, time.UTC), {},
	} {
		storage := &logical.InmemStorage{}
		fill(t, storage, "edge", 1, func(_ int, entry *Entry) { entry.ExpiresAt = end })
		entries, err := newLedger().List(t.Context(), storage, "edge")
		require.NoError(t, err)
		require.Equal(t, end, entries[0].ExpiresAt)
	}
}

// A later version of the plugin may know more states. Its credentials keep their slots.
func TestLoad_UnknownState_IsUnreadable(t *testing.T) {
	storage := &logical.InmemStorage{}
	fill(t, storage, "edge", 1, func(_ int, entry *Entry) { entry.State, entry.ExpiresAt = "frozen", start.Add(-time.Hour) })
	l := newLedger()
	entries, err := l.List(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, StateUnreadable, entries[0].State)
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 1, used)
}

func TestShareable_SeveralCredentials_NewestFirst(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	fill(t, storage, "edge", 4, func(i int, entry *Entry) {
		entry.Shared, entry.ShareKey = []byte(`{}`), "reader@1"
		entry.CreatedAt = start.Add(time.Duration([]int{1, 3, 2, 2}[i]) * time.Minute)
	})
	_, err := l.List(t.Context(), storage, "edge") // without holders, Shareable does not wait for their load
	require.NoError(t, err)
	shareable := func() (ids []string) {
		entries, err := l.Shareable(t.Context(), storage, "edge", "reader@1")
		require.NoError(t, err)
		for _, entry := range entries {
			ids = append(ids, entry.ID[len(entry.ID)-1:])
		}
		return ids
	}
	require.Equal(t, []string{"1", "3", "2", "0"}, shareable())
	require.NoError(t, l.Remove(t.Context(), storage, "edge", fmt.Sprintf("e%015d", 2)))
	require.Equal(t, []string{"1", "3", "0"}, shareable())
}

func TestPage_LastPageIsFull_NothingFollows(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	fill(t, storage, "edge", 4, nil)
	entries, more, err := l.Page(t.Context(), storage, "edge", "", 3, Filter{})
	require.NoError(t, err)
	require.Len(t, entries, 3)
	require.True(t, more)
	entries, more, err = l.Page(t.Context(), storage, "edge", "", 4, Filter{})
	require.NoError(t, err)
	require.Len(t, entries, 4)
	require.False(t, more)
}

func TestIsEmpty_OnlyWhenLoaded_IsCertain(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	require.False(t, l.IsEmpty("edge"), "the entries were not read yet")
	_, err := l.List(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.True(t, l.IsEmpty("edge"))
	_, err = l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	require.False(t, l.IsEmpty("edge"))
}

func TestIndex_StorageFails_EveryQuestionIsAnError(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *Ledger, logical.Storage) error{
		"IDs": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, err := l.IDs(ctx, s, "edge")
			return err
		},
		"Due": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, err := l.Due(ctx, s, "edge")
			return err
		},
		"List": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, err := l.List(ctx, s, "edge")
			return err
		},
		"Used": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, err := l.Used(ctx, s, "edge")
			return err
		},
		"InUse": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, err := l.InUse(ctx, s, "edge")
			return err
		},
		"Page": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, _, err := l.Page(ctx, s, "edge", "", 9, Filter{})
			return err
		},
		"Shareable": func(ctx context.Context, l *Ledger, s logical.Storage) error {
			_, err := l.Shareable(ctx, s, "edge", "k")
			return err
		},
		"Configs": func(ctx context.Context, l *Ledger, s logical.Storage) error { _, err := l.Configs(ctx, s); return err },
	} {
		t.Run(name, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			fill(t, storage, "edge", 1, nil)
			l := newLedger()
			require.ErrorIs(t, ask(t.Context(), l, storagetest.FailNth(storage, 1)), storagetest.ErrFailed)
			require.NoError(t, ask(t.Context(), l, storage), "the next request loads again")
		})
	}
}

// Requests for old leases must not fill the memory.
func TestChanges_AfterEveryRequest_KeepNoLock(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	for i := range 10 {
		_, err := l.Detach(t.Context(), storage, "edge", "a", fmt.Sprint(i))
		require.NoError(t, err)
		require.NoError(t, l.Remove(t.Context(), storage, "edge", fmt.Sprint(i)))
	}
	require.Empty(t, l.changes.locks)
}

func TestLoad_EmptyConfig_CostsOneList(t *testing.T) {
	storage := storagetest.Wrap(&logical.InmemStorage{})
	_, err := newLedger().Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, map[storagetest.Kind]int{storagetest.List: 1}, storage.Counts())
}

func TestLoadingError_Progress_EstimatesTheEnd(t *testing.T) {
	memory, clock := &logical.InmemStorage{}, providertest.NewClock()
	fill(t, memory, "edge", 4*loadPage, nil)
	lifetime, end := context.WithCancel(t.Context())
	defer end()
	l := New(Options{Now: clock.Now, Lifetime: lifetime})
	storage, open := blockReads(memory, "edge", loadPage+1)
	given, giveUp := context.WithCancel(t.Context())
	giveUp()
	progress := func() *LoadingError {
		_, err := l.Used(given, storage, "edge")
		loading := &LoadingError{}
		require.ErrorAs(t, err, &loading)
		return loading
	}
	require.Eventually(t, func() bool { return progress().Loaded == loadPage }, 10*time.Second, time.Millisecond)
	require.Equal(t, &LoadingError{Loaded: loadPage, Total: 4 * loadPage, RetryAfter: time.Second}, progress())
	clock.Advance(10 * time.Second)
	require.Equal(t, &LoadingError{Loaded: loadPage, Total: 4 * loadPage, RetryAfter: 30 * time.Second}, progress())
	clock.Advance(time.Hour)
	require.Equal(t, maxRetryAfter, progress().RetryAfter)
	clock.Advance(-2 * time.Hour)
	require.Equal(t, time.Second, progress().RetryAfter, "the clock was set back")
	open()
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 0, used-4*loadPage)
}
