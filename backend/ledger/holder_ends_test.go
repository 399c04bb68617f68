package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// fillHolders stores a shared credential with n holders, as an earlier process has left them, and returns its ID.
func fillHolders(t *testing.T, storage logical.Storage, n int) string {
	t.Helper()
	var id string
	fill(t, storage, "edge", 1, func(_ int, entry *Entry) { entry.Shared, id = []byte(`{}`), entry.ID })
	for i := range n {
		holder := Holder{
			ID: fmt.Sprintf("h%03d", i), LeaseExpiresAt: start.Add(10 * time.Minute), IssuedAt: start.Add(-time.Minute),
			Requester: Requester{EntityID: "entity"},
		}
		require.NoError(t, putHolder(t.Context(), storage, id, holder))
	}
	return id
}

func TestLastLeaseEnd_ManyUnreadHolders_IsNotKnown(t *testing.T) {
	for holders, known := range map[int]bool{maxEndsAsked: true, maxEndsAsked + 1: false} {
		storage := &logical.InmemStorage{}
		id := fillHolders(t, storage, holders)
		last, isKnown, err := newLedger().LastLeaseEnd(t.Context(), storage, "edge", id)
		require.NoError(t, err)
		require.Equal(t, known, isKnown, "%d holders", holders)
		require.Equal(t, known, last.Equal(start.Add(10*time.Minute)))
	}
}

func TestLastLeaseEnd_UnreadHoldersLeave_IsKnown(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	id := fillHolders(t, storage, maxEndsAsked+1)
	_, known, err := l.LastLeaseEnd(t.Context(), storage, "edge", id)
	require.NoError(t, err)
	require.False(t, known)
	last, err := l.Detach(t.Context(), storage, "edge", id, "h000")
	require.NoError(t, err)
	require.False(t, last)
	_, known, err = l.LastLeaseEnd(t.Context(), storage, "edge", id)
	require.NoError(t, err)
	require.True(t, known)
}

func TestHolders_RecordCannotBeFetched_IsAnError(t *testing.T) {
	memory := &logical.InmemStorage{}
	id := fillHolders(t, memory, 3)
	l := newLedger()
	storage := storagetest.FailNth(memory, 2, storagetest.Get)
	_, err := l.Holders(t.Context(), storage, "edge", id)
	require.ErrorIs(t, err, storagetest.ErrFailed)
	_, err = newLedger().DetachExpired(t.Context(), storagetest.FailNth(memory, 1, storagetest.Get), "edge", id, start)
	require.ErrorIs(t, err, storagetest.ErrFailed)
	holders, err := l.Holders(t.Context(), storage, "edge", id)
	require.NoError(t, err)
	require.Len(t, holders, 3)
}

func TestDetachAll_DeletionFails_IsReported(t *testing.T) {
	for n := 1; n <= 3; n++ {
		memory := &logical.InmemStorage{}
		id := fillHolders(t, memory, 3)
		l := newLedger()
		require.ErrorIs(t, l.DetachAll(t.Context(), storagetest.FailNth(memory, n, storagetest.Delete), "edge", id), storagetest.ErrFailed)
		require.NoError(t, l.DetachAll(t.Context(), memory, "edge", id))
		has, err := l.HasHolders(t.Context(), memory, "edge", id)
		require.NoError(t, err)
		require.False(t, has)
	}
}

func TestExtend_AfterRestart_KeepsIssueAndRequester(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	id := fillHolders(t, storage, 1)
	_, err := l.List(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.NoError(t, l.Extend(t.Context(), storage, "edge", id, "h000", start.Add(time.Minute)), "an earlier end changes nothing")
	require.NoError(t, l.Extend(t.Context(), storage, "edge", id, "h000", start.Add(time.Hour)))
	for _, l := range []*Ledger{l, newLedger()} {
		holders, err := l.Holders(t.Context(), storage, "edge", id)
		require.NoError(t, err)
		require.Equal(t, []Holder{{
			Version: holderVersion, ID: "h000", LeaseExpiresAt: start.Add(time.Hour), IssuedAt: start.Add(-time.Minute),
			Requester: Requester{EntityID: "entity"},
		}}, holders)
	}
}

func TestExtend_EarlierEnd_IsNotForgottenInMemory(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "first", start.Add(time.Minute)))
	last, err := l.DetachExpired(t.Context(), storage, "edge", "a", start.Add(2*time.Minute))
	require.NoError(t, err)
	require.False(t, last, "the lease ends later")
}

// A sweep at the previous end of a lease must not take the holder away while the new end is being written.
func TestExtend_SweepDuringTheWrite_KeepsTheHolder(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	share(t, l, storage)
	blocked, gate := storagetest.BlockNth(storage, 1, storagetest.Put, "holder/a/first")
	extended := make(chan error, 1)
	go func() { extended <- l.Extend(t.Context(), blocked, "edge", "a", "first", start.Add(time.Hour)) }()
	<-gate.Reached
	last, err := l.DetachExpired(t.Context(), storage, "edge", "a", start.Add(30*time.Minute))
	gate.Open()
	require.NoError(t, err)
	require.False(t, last)
	require.NoError(t, <-extended)
}
