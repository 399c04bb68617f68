package ledger

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// requester is who asks in tests.
var requester = Requester{
	EntityID: "0b6d1a5c-7f3e-2a11-9c41-6d1f7f5b2e10", DisplayName: "approle-reader", TokenAccessor: "9m2kDqQ1vXy7rT4bNc8Zs0Lp",
	LeasePath: "vendorauth/creds/reader",
}

func TestHolder_StoredLayout_IsPinned(t *testing.T) {
	holder := Holder{
		Version: holderVersion, ID: "ijklmnop234567ab", LeaseExpiresAt: start.Add(30 * time.Minute), IssuedAt: start, Requester: requester,
	}
	encoded, err := json.Marshal(holder)
	require.NoError(t, err)
	golden, err := os.ReadFile(filepath.Join("testdata", "holder_v2.json"))
	require.NoError(t, err)
	require.JSONEq(t, string(golden), string(encoded))

	var earlier Holder
	require.NoError(t, json.Unmarshal([]byte(`{"version":1,"id":"ijklmnop234567ab","lease_expires_at":"2026-01-02T03:34:05Z"}`), &earlier))
	require.Equal(t, Holder{Version: 1, ID: holder.ID, LeaseExpiresAt: holder.LeaseExpiresAt}, earlier)
}

// A renewal rewrites the record of a holder, and must not forget who it is.
func TestExtend_HolderWithRequester_KeepsIt(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	entry, err := l.Reserve(t.Context(), storage, intent("a", 0))
	require.NoError(t, err)
	entry.State, entry.Shared = StateLive, json.RawMessage(`{}`)
	require.NoError(t, l.Update(t.Context(), storage, entry))
	holder := Holder{ID: "h", LeaseExpiresAt: start.Add(time.Minute), IssuedAt: start, Requester: requester}
	require.NoError(t, l.Attach(t.Context(), storage, "edge", "a", holder))
	for range 2 { // from memory, and after a restart
		holder.LeaseExpiresAt = holder.LeaseExpiresAt.Add(time.Minute)
		require.NoError(t, l.Extend(t.Context(), storage, "edge", "a", "h", holder.LeaseExpiresAt))
		l = newLedger()
		holder.Version = holderVersion
		stored, err := l.Holders(t.Context(), storage, "edge", "a")
		require.NoError(t, err)
		require.Equal(t, []Holder{holder}, stored)
	}
}

// The credential of a check takes no slot, and does not keep its config from being deleted.
func TestReserve_CredentialOfACheck_TakesNoSlot(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	check := intent("a", 0)
	check.Check = true
	_, err := l.Reserve(t.Context(), storage, check)
	require.NoError(t, err)
	used, err := l.Used(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Zero(t, used)
	inUse, err := l.InUse(t.Context(), storage, "edge")
	require.NoError(t, err)
	require.Zero(t, inUse)
	require.NoError(t, l.CloseOrigin(t.Context(), storage, "edge", "here", false))
	require.NoError(t, l.Freeze(t.Context(), storage, "edge", "first"))
}
