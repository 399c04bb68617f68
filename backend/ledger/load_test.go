package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// fill stores n live entries of a config, as an earlier process has left them.
func fill(t testing.TB, storage logical.Storage, config string, n int, change func(i int, entry *Entry)) {
	t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s%0*d", config[:1], 15, i)
		entry := &Entry{
			Version: 1, ID: id, Revision: 1, Origin: "0123456789abcdef", Config: config, Role: "reader", Marker: "vault-0a1b2c3d-reader-" + id,
			State: StateLive, Handle: json.RawMessage(`{"v":1,"token":"secret"}`), CreatedAt: start,
			ExpiresAt: start.Add(time.Hour), LeaseExpiresAt: start.Add(30 * time.Minute),
		}
		if change != nil {
			change(i, entry)
		}
		stored, err := logical.StorageEntryJSON(key(config, id), entry)
		require.NoError(t, err)
		require.NoError(t, storage.Put(t.Context(), stored))
	}
}

// blockReads holds the reads of a config's entries from the n-th one on, until open is called.
func blockReads(storage logical.Storage, config string, n int) (blocked *storagetest.Storage, open func()) {
	blocked, gate := storagetest.Wrap(storage), make(chan struct{})
	var mu sync.Mutex
	reads := 0
	blocked.Before = func(ctx context.Context, operation storagetest.Operation) error {
		if operation.Kind != storagetest.Get || !strings.HasPrefix(operation.Key, StoragePrefix+config+"/") {
			return nil
		}
		mu.Lock()
		reads++
		wait := reads >= n
		mu.Unlock()
		if !wait {
			return nil
		}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return blocked, sync.OnceFunc(func() { close(gate) })
}

// unlimited is an intent that needs no count.
func unlimited(id string) Intent { return intent(id, 0) }

func TestLoad_ManyWaiters_ReadEachEntryOnce(t *testing.T) {
	const entries, waiters = 3*loadPage + 7, 64
	storage := storagetest.Wrap(&logical.InmemStorage{})
	fill(t, storage, "edge", entries, nil)
	l := newLedger()
	var group sync.WaitGroup
	for i := range waiters {
		group.Go(func() {
			if _, err := l.Reserve(t.Context(), storage, intent(fmt.Sprint(i), entries+waiters)); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Equal(t, entries, storage.Count(storagetest.Get))
	require.Equal(t, 2, storage.Count(storagetest.List), "the entries, and the shared credentials")
}

// The time of a bubble passes only when all goroutines wait, so that the caller's deadline does not pass during the load.
func TestLoad_CallerGivesUp_GoesOn(t *testing.T) { synctest.Test(t, testCallerGivesUp) }

func testCallerGivesUp(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 2*loadPage, nil)
	storage, open := blockReads(under, "edge", loadPage+1)
	defer open()
	l := newLedger()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Millisecond)
	defer cancel()
	_, err := l.Used(ctx, storage, "edge")
	loading, ok := errors.AsType[*LoadingError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, 2*loadPage, loading.Total)
	require.Equal(t, time.Second, loading.RetryAfter)
	require.NoError(t, ctx.Err(), "the caller has time left for its answer")
	cancel()

	open()
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 2*loadPage, used)
	require.Equal(t, 2*loadPage, storage.Count(storagetest.Get), "no entry is read twice")
}

func TestLoad_StorageFailsOnce_Continues(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 4*loadPage, nil)
	l := newLedger()
	_, err := l.Used(t.Context(), storagetest.FailNth(under, 3*loadPage+1, storagetest.Get), "edge")
	require.ErrorIs(t, err, storagetest.ErrFailed)
	storage := storagetest.Wrap(under)
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 4*loadPage, used)
	require.Equal(t, loadPage, storage.Count(storagetest.Get), "what was read is kept")
	require.Zero(t, storage.Count(storagetest.List))
}

func TestLoad_RequestsWithoutCount_DoNotWait(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 10, nil)
	fill(t, under, "small", 1, nil)
	shared := share(t, newLedger(), under)
	storage, open := blockReads(under, "edge", 2)
	defer open()
	l := newLedger()
	go func() { _, _ = l.Used(context.Background(), storage, "edge") }()
	require.Eventually(t, func() bool { return storage.Count(storagetest.Get) > 1 }, 10*time.Second, time.Millisecond)

	entry, err := l.Reserve(t.Context(), under, unlimited("new"))
	require.NoError(t, err)
	entry.State = StateLive
	require.NoError(t, l.Update(t.Context(), under, entry), "a renewal")
	require.NoError(t, l.Remove(t.Context(), under, "edge", entry.ID), "a revocation")
	held, err := l.Shareable(t.Context(), under, "edge", "")
	require.NoError(t, err)
	require.Empty(t, held)
	require.NoError(t, l.Attach(t.Context(), under, "edge", shared.ID, Holder{ID: "second", LeaseExpiresAt: start.Add(time.Hour)}), "a shared read")
	require.NoError(t, l.Extend(t.Context(), under, "edge", shared.ID, "first", start.Add(time.Hour)))
	last, err := l.Detach(t.Context(), under, "edge", shared.ID, "first")
	require.NoError(t, err)
	require.False(t, last)
	require.False(t, l.IsEmpty("edge"))

	small := intent("s", 10)
	small.Config = "small"
	_, err = l.Reserve(t.Context(), storage, small)
	require.NoError(t, err, "what another config has does not matter")

	open()
	stats, err := l.Stats(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Equal(t, 11, stats.Total)
}

func TestShareable_AfterRestart_IsLoadedFirst(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 2*loadPage, nil)
	writer := newLedger()
	entry, err := writer.Reserve(t.Context(), under, unlimited("zz"))
	require.NoError(t, err)
	entry.State, entry.Shared, entry.ShareKey = StateLive, json.RawMessage(`{}`), "reader/R/G"
	require.NoError(t, writer.Update(t.Context(), under, entry))
	require.NoError(t, writer.Attach(t.Context(), under, "edge", "zz", Holder{ID: "h", LeaseExpiresAt: start.Add(time.Hour)}))

	storage, open := blockReads(under, "edge", 2)
	defer open()
	found, err := newLedger().Shareable(t.Context(), storage, "edge", "reader/R/G")
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, "zz", found[0].ID)
	require.True(t, found[0].IsShared())
}

// The answer "there is none" would make the role issue one more credential.
func TestShareable_SharedNotLoaded_Waits(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 3, func(i int, entry *Entry) {
		if i == 2 {
			entry.Shared, entry.ShareKey = json.RawMessage(`{}`), "reader/R/G"
			require.NoError(t, putHolder(t.Context(), under, entry.ID, Holder{ID: "h", LeaseExpiresAt: start.Add(time.Hour)}))
		}
	})
	storage, gate := storagetest.BlockNth(under, 1, storagetest.Get, key("edge", fmt.Sprintf("e%015d", 2)))
	found := make(chan []Entry, 1)
	go func() {
		entries, err := newLedger().Shareable(t.Context(), storage, "edge", "reader/R/G")
		if err != nil {
			t.Error(err)
		}
		found <- entries
	}()
	<-gate.Reached
	select {
	case <-found:
		gate.Open()
		require.Fail(t, "it did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	gate.Open()
	require.Len(t, <-found, 1)
}

func TestInvalidate_DuringALoad_WaitersGetTheNewState(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 10, nil)
	storage, open := blockReads(under, "edge", 1)
	l := newLedger()
	used := make(chan int, 1)
	go func() {
		count, err := l.Used(context.Background(), storage, "edge")
		if err != nil {
			t.Error(err)
		}
		used <- count
	}()
	require.Eventually(t, func() bool { return storage.Count(storagetest.Get) > 0 }, 10*time.Second, time.Millisecond)
	fill(t, under, "edge", 11, nil) // by another node
	l.Invalidate(StoragePrefix + "edge/x")
	open()
	require.Equal(t, 11, <-used)
}

func TestPreload_ManyConfigs_LoadsAll(t *testing.T) {
	storage := storagetest.Wrap(&logical.InmemStorage{})
	for _, config := range []string{"a", "b", "c", "d", "e"} {
		fill(t, storage, config, 20, nil)
	}
	l := newLedger()
	l.Preload(storage)
	require.Eventually(t, func() bool { return storage.Count(storagetest.Get) == 100 }, 10*time.Second, time.Millisecond)
	for _, config := range []string{"a", "b", "c", "d", "e"} {
		used, err := l.Used(t.Context(), storage, config)
		require.NoError(t, err)
		require.Equal(t, 20, used)
	}
	require.Equal(t, 100, storage.Count(storagetest.Get))
}

func TestPreload_LifetimeEnds_Stops(t *testing.T) {
	under := &logical.InmemStorage{}
	fill(t, under, "edge", 10, nil)
	storage, open := blockReads(under, "edge", 1)
	defer open()
	lifetime, end := context.WithCancel(t.Context())
	l := New(Options{Now: providertest.NewClock().Now, Lifetime: lifetime})
	l.Preload(storage)
	require.Eventually(t, func() bool { return storage.Count(storagetest.Get) > 0 }, 10*time.Second, time.Millisecond)
	end()
	_, err := l.Used(t.Context(), storage, "edge")
	require.ErrorIs(t, err, context.Canceled)
}

// A revocation needs no other holder's record: with many holders, it costs a list and a deletion.
func TestHolders_ManyAfterRestart_RevokeAndRenewReadNone(t *testing.T) {
	const holders = 500
	under := &logical.InmemStorage{}
	share(t, newLedger(), under)
	for i := range holders {
		require.NoError(t, putHolder(t.Context(), under, "a", Holder{ID: fmt.Sprintf("h%d", i), LeaseExpiresAt: start.Add(time.Duration(i) * time.Second)}))
	}
	l, storage := newLedger(), storagetest.Wrap(under)
	last, err := l.Detach(t.Context(), storage, "edge", "a", "h7")
	require.NoError(t, err)
	require.False(t, last)
	require.Equal(t, map[storagetest.Kind]int{storagetest.Delete: 1, storagetest.List: 1}, storage.Counts())
	require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "h8", start.Add(time.Hour)))
	require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "h8", start.Add(2*time.Hour)))
	require.Equal(t, map[storagetest.Kind]int{storagetest.Delete: 1, storagetest.List: 1, storagetest.Get: 1, storagetest.Put: 2}, storage.Counts())
	_, known, err := l.LastLeaseEnd(t.Context(), storage, "edge", "a")
	require.NoError(t, err)
	require.False(t, known, "a confirmation does not read them all")

	last, err = l.DetachExpired(t.Context(), storage, "edge", "a", start.Add(100*time.Second))
	require.NoError(t, err)
	require.False(t, last)
	require.Equal(t, holders, storage.Count(storagetest.Get), "each is read once: one has left, and the first one is added")
	ends, known, err := l.LastLeaseEnd(t.Context(), storage, "edge", "a")
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, start.Add(2*time.Hour), ends)
	require.Equal(t, 1+98, storage.Count(storagetest.Delete), "of the first hundred, two have left or were renewed")
}

func TestHolders_CallerGivesUpDuringList_IsLetGo(t *testing.T) {
	under := &logical.InmemStorage{}
	share(t, newLedger(), under)
	storage, gate := storagetest.BlockNth(under, 1, storagetest.List, HolderPrefix+"a/")
	l := newLedger()
	first := make(chan error, 1)
	go func() {
		_, err := l.Holders(context.Background(), storage, "edge", "a")
		first <- err
	}()
	<-gate.Reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Detach(ctx, storage, "edge", "a", "other")
	require.ErrorIs(t, err, context.Canceled)
	gate.Open()
	require.NoError(t, <-first)
}
