package ledger

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestExtend_EarlierEnd_ChangesNothingAndWritesNothing(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	end := start.Add(20 * time.Minute)
	require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "first", end))
	require.NoError(t, l.Extend(t.Context(), storagetest.FailNth(storage, 1, storagetest.Put), "edge", "a", "first", start.Add(time.Minute)))
	last, err := newLedger().LastLeaseEnd(t.Context(), storage, "a")
	require.NoError(t, err)
	require.Equal(t, end, last)
}

func TestExtend_WriteFailed_IsRepeatedByTheNext(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	end := start.Add(20 * time.Minute)
	require.ErrorIs(t, l.Extend(t.Context(), storagetest.FailNth(storage, 1, storagetest.Put), "edge", "a", "first", end), storagetest.ErrFailed)
	require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "first", end))
	last, err := newLedger().LastLeaseEnd(t.Context(), storage, "a")
	require.NoError(t, err)
	require.Equal(t, end, last)
}

func TestExtend_CredentialHasEnded_IsRefused(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	entry := share(t, l, storage)
	entry.State = StateRevoking
	require.NoError(t, l.Update(t.Context(), storage, entry))
	require.ErrorIs(t, l.Extend(t.Context(), storage, "edge", "a", "first", start.Add(time.Hour)), ErrDraining)
}

func TestExtend_NextToDetach_LeavesNoRecord(t *testing.T) {
	for range 100 {
		storage, l := &logical.InmemStorage{}, newLedger()
		share(t, l, storage)
		var group sync.WaitGroup
		group.Go(func() { _ = l.Extend(t.Context(), storage, "edge", "a", "first", start.Add(time.Hour)) })
		group.Go(func() {
			if _, err := l.Detach(t.Context(), storage, "a", "first"); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		ids, err := storage.List(t.Context(), HolderPrefix+"a/")
		require.NoError(t, err)
		require.Empty(t, ids)
	}
}

// share makes a live shared credential "a" of config "edge" with the holder "first".
func share(t *testing.T, l *Ledger, storage logical.Storage) *Entry {
	t.Helper()
	entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	entry.State, entry.Shared = StateLive, json.RawMessage(`{}`)
	require.NoError(t, l.Update(t.Context(), storage, entry))
	require.NoError(t, l.Attach(t.Context(), storage, "edge", "a", "first", start.Add(10*time.Minute)))
	return entry
}
