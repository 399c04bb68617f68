package ledger

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// unreadableRecords are records that this version cannot read.
var unreadableRecords = map[string]string{
	"later version":  `{"version":99,"id":"z","role":"reader","marker":"vault-z","created_at":"2026-01-02T03:04:05Z"}`,
	"another layout": `{"version":99,"id":["z"],"role":"reader","marker":"vault-z","created_at":"2026-01-02T03:04:05Z"}`,
	"damaged":        `{"version":1,`,
}

// forUnreadable runs a test for each kind of unreadable record, on storage that also has a readable entry "a".
func forUnreadable(t *testing.T, run func(t *testing.T, storage logical.Storage, l *Ledger)) {
	t.Helper()
	for name, record := range unreadableRecords {
		t.Run(name, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			_, err := newLedger().Reserve(t.Context(), storage, intent("a", 0))
			require.NoError(t, err)
			require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "ledger/edge/z", Value: []byte(record)}))
			run(t, storage, newLedger())
			kept, err := storage.Get(t.Context(), "ledger/edge/z")
			require.NoError(t, err)
			require.Equal(t, record, string(kept.Value), "it is not changed")
		})
	}
}

func TestLoad_UnreadableRecord_DoesNotHideTheOthers(t *testing.T) {
	forUnreadable(t, func(t *testing.T, storage logical.Storage, l *Ledger) {
		entries, err := l.List(t.Context(), storage, "edge")
		require.NoError(t, err)
		states := map[string]State{}
		for _, entry := range entries {
			states[entry.ID] = entry.State
		}
		require.Equal(t, map[string]State{"a": StateIssuing, "z": StateUnreadable}, states)
		require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"), "the others go on")
	})
}

func TestLoad_LaterVersion_NamesTheCredential(t *testing.T) {
	forUnreadable(t, func(t *testing.T, storage logical.Storage, l *Ledger) {
		if t.Name() == "TestLoad_LaterVersion_NamesTheCredential/damaged" {
			return
		}
		entries, err := l.List(t.Context(), storage, "edge")
		require.NoError(t, err)
		later := entries[slices.IndexFunc(entries, func(e Entry) bool { return e.ID == "z" })]
		require.Equal(t, "vault-z", later.Marker)
		require.Equal(t, "reader", later.Role)
		require.NotEmpty(t, later.LastError)
	})
}

func TestReserve_UnreadableRecord_KeepsItsSlot(t *testing.T) {
	forUnreadable(t, func(t *testing.T, storage logical.Storage, l *Ledger) {
		_, err := l.Reserve(t.Context(), storage, intent("b", 2))
		full, ok := errors.AsType[*LimitError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 2, full.Used)
		require.Equal(t, start.Add(30*time.Minute), full.NextFree, "the readable one's")
		_, err = l.Reserve(t.Context(), storage, intent("c", 3))
		require.NoError(t, err)
	})
}

func TestFreeze_UnreadableRecord_IsRefused(t *testing.T) {
	forUnreadable(t, func(t *testing.T, storage logical.Storage, l *Ledger) {
		require.NoError(t, l.Remove(t.Context(), storage, "edge", "a"))
		_, ok := errors.AsType[*InUseError](l.Freeze(t.Context(), storage, "edge", "first"))
		require.True(t, ok)
		_, ok = errors.AsType[*InUseError](l.CloseOrigin(t.Context(), storage, "edge", "here", false))
		require.True(t, ok)
	})
}

func TestUpdate_UnreadableRecord_IsRefused(t *testing.T) {
	forUnreadable(t, func(t *testing.T, storage logical.Storage, l *Ledger) {
		err := l.Update(t.Context(), storage, &Entry{ID: "z", Config: "edge", State: StateRevoking})
		require.Error(t, err)
		_, err = l.Get(t.Context(), storage, "edge", "z")
		require.ErrorIs(t, err, ErrUnreadable)
	})
}

// A holder of a later version has a lease that this version does not know the end of.
func TestHolders_UnreadableRecord_HoldsTheCredential(t *testing.T) {
	for name, record := range map[string]string{"later version": `{"version":99,"id":"z"}`, "damaged": `{`} {
		t.Run(name, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			share(t, newLedger(), storage)
			require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "holder/a/z", Value: []byte(record)}))
			l := newLedger()
			last, err := l.DetachExpired(t.Context(), storage, "edge", "a", start.Add(24*time.Hour))
			require.NoError(t, err)
			require.False(t, last)
			require.ErrorIs(t, l.Extend(t.Context(), storage, "edge", "a", "z", start.Add(time.Hour)), ErrUnreadable)
			kept, err := storage.Get(t.Context(), "holder/a/z")
			require.NoError(t, err)
			require.Equal(t, record, string(kept.Value))
			last, err = l.Detach(t.Context(), storage, "edge", "a", "z")
			require.NoError(t, err)
			require.True(t, last, "its lease can be revoked")
		})
	}
}

// The text of a decoding error quotes the record, which may hold a secret.
func TestGet_DamagedRecord_ErrorHasNoSecret(t *testing.T) {
	storage := &logical.InmemStorage{}
	record, err := json.Marshal(map[string]any{"version": 1, "state": map[string]string{"token": "s3cr3t"}, "created_at": "s3cr3t"})
	require.NoError(t, err)
	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "ledger/edge/a", Value: record}))
	_, err = newLedger().Get(t.Context(), storage, "edge", "a")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cr3t")
}
