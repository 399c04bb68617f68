package ledger

import (
	"encoding/json"
	"fmt"
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
	last, _, err := newLedger().LastLeaseEnd(t.Context(), storage, "edge", "a")
	require.NoError(t, err)
	require.Equal(t, end, last)
}

func TestExtend_WriteFailed_IsRepeatedByTheNext(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	end := start.Add(20 * time.Minute)
	require.ErrorIs(t, l.Extend(t.Context(), storagetest.FailNth(storage, 1, storagetest.Put), "edge", "a", "first", end), storagetest.ErrFailed)
	require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "first", end))
	last, _, err := newLedger().LastLeaseEnd(t.Context(), storage, "edge", "a")
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
			if _, err := l.Detach(t.Context(), storage, "edge", "a", "first"); err != nil {
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
	require.NoError(t, l.Attach(t.Context(), storage, "edge", "a", Holder{ID: "first", LeaseExpiresAt: start.Add(10 * time.Minute)}))
	return entry
}

// The end of the credential, or a sweep, takes the holder away while its record is being written.
func TestAttach_HolderIsTakenAwayDuringWrite_LeavesNoRecord(t *testing.T) {
	for name, takeAway := range map[string]func(*Ledger, logical.Storage) error{
		"detached": func(l *Ledger, storage logical.Storage) error {
			_, err := l.Detach(t.Context(), storage, "edge", "a", "second")
			return err
		},
		"swept": func(l *Ledger, storage logical.Storage) error {
			_, err := l.DetachExpired(t.Context(), storage, "edge", "a", start.Add(24*time.Hour))
			return err
		},
		"credential ended": func(l *Ledger, storage logical.Storage) error {
			return l.DetachAll(t.Context(), storage, "edge", "a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			storage, l := &logical.InmemStorage{}, newLedger()
			share(t, l, storage)
			blocked, gate := storagetest.BlockNth(storage, 1, storagetest.Put, "holder/a/second")
			attached := make(chan error, 1)
			second := Holder{ID: "second", LeaseExpiresAt: start.Add(time.Minute)}
			go func() { attached <- l.Attach(t.Context(), blocked, "edge", "a", second) }()
			<-gate.Reached
			taken := make(chan error, 1)
			go func() { taken <- takeAway(l, storage) }()
			if name != "detached" { // a Detach waits for the write before it changes anything
				require.Eventually(t, func() bool {
					holders, err := l.Holders(t.Context(), storage, "edge", "a")
					return err == nil && len(holders) == 0
				}, 10*time.Second, time.Millisecond)
			}
			gate.Open()
			err := <-attached
			if name != "detached" {
				require.ErrorIs(t, err, ErrDraining)
			}
			require.NoError(t, <-taken)
			require.NotContains(t, holderKeys(t, storage), "second")
		})
	}
}

func holderKeys(t *testing.T, storage logical.Storage) []string {
	t.Helper()
	ids, err := storage.List(t.Context(), HolderPrefix+"a/")
	require.NoError(t, err)
	return ids
}

// Requests for old leases must not fill the memory.
func TestHolders_CredentialIsGone_KeepsNothingInMemory(t *testing.T) {
	for _, loaded := range []bool{true, false} {
		storage, l := &logical.InmemStorage{}, newLedger()
		if loaded {
			_, err := l.List(t.Context(), storage, "edge")
			require.NoError(t, err)
		}
		for i := range 50 {
			gone := fmt.Sprint(i)
			_, err := l.Detach(t.Context(), storage, "edge", gone, "h")
			require.NoError(t, err)
			_, err = l.HasHolders(t.Context(), storage, "edge", gone)
			require.NoError(t, err)
			_, _, err = l.LastLeaseEnd(t.Context(), storage, "edge", gone)
			require.NoError(t, err)
			require.ErrorIs(t, l.Extend(t.Context(), storage, "edge", gone, "h", start), ErrDraining)
			require.ErrorIs(t, l.Attach(t.Context(), storage, "edge", gone, Holder{ID: "h", LeaseExpiresAt: start}), ErrDraining)
		}
		_, err := l.List(t.Context(), storage, "edge")
		require.NoError(t, err)
		require.Empty(t, l.index("edge").holders)
	}
}

func TestExtend_RecordOfARemovedCredential_IsRefused(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	require.NoError(t, l.Remove(t.Context(), storage, "edge", "a")) // a record of its holder is left
	require.ErrorIs(t, l.Extend(t.Context(), storage, "edge", "a", "first", start.Add(time.Hour)), ErrDraining)
}
