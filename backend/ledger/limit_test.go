package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// refusal returns the LimitError of a request.
func refusal(t *testing.T, l *Ledger, storage logical.Storage, refused Intent) LimitError {
	t.Helper()
	_, err := l.Reserve(t.Context(), storage, refused)
	full, ok := errors.AsType[*LimitError](err)
	require.True(t, ok, "%v", err)
	return *full
}

func TestLimitError_Text_NamesWhoseLimit(t *testing.T) {
	full := LimitError{Used: 2, Limit: 3, NextFree: start}
	require.Equal(t, "2 of 3 credentials of the config in use, a slot is expected to be free at "+start.Format(time.RFC3339), full.Error())
	full.Role = "reader"
	require.Contains(t, full.Error(), `of role "reader" in use`)
}

func TestLimit_OfARole_LooksAtItsOwnCredentials(t *testing.T) {
	storage, l := &logical.InmemStorage{}, newLedger()
	for id, role := range map[string]string{"a": "reader", "b": "writer"} {
		next := intent(id, 0)
		next.Role = role
		if role == "writer" {
			next.LeaseExpiresAt = start.Add(time.Minute)
		}
		_, err := l.Reserve(t.Context(), storage, next)
		require.NoError(t, err)
	}
	next := intent("c", 10)
	next.RoleLimit = 1
	require.Equal(t, LimitError{Used: 1, Limit: 1, Role: "reader", NextFree: start.Add(30 * time.Minute)}, refusal(t, l, storage, next))
	require.Equal(t, LimitError{Used: 2, Limit: 2, NextFree: start.Add(time.Minute)}, refusal(t, l, storage, intent("c", 2)))
}

// fillShared stores n shared credentials. The record of each ends in 30 minutes, and the lease of its holder in 50.
func fillShared(t *testing.T, storage logical.Storage, n int) {
	t.Helper()
	fill(t, storage, "edge", n, func(_ int, entry *Entry) {
		entry.Shared = []byte(`{}`)
		holder := Holder{ID: "h", LeaseExpiresAt: start.Add(50 * time.Minute)}
		require.NoError(t, putHolder(t.Context(), storage, entry.ID, holder))
	})
}

func TestLimit_SharedCredentials_EndWithTheirHolders(t *testing.T) {
	storage := &logical.InmemStorage{}
	fillShared(t, storage, maxSharedSlots)
	full := refusal(t, newLedger(), storage, intent("x", maxSharedSlots))
	require.Equal(t, start.Add(50*time.Minute), full.NextFree)

	storage = &logical.InmemStorage{}
	fillShared(t, storage, maxSharedSlots+1)
	full = refusal(t, newLedger(), storage, intent("x", maxSharedSlots+1))
	require.Equal(t, start.Add(30*time.Minute), full.NextFree, "one refusal asks for the holders of a few credentials only")
}

func TestLimit_HoldersCannotBeRead_UsesTheEntry(t *testing.T) {
	storage := &logical.InmemStorage{}
	fillShared(t, storage, 1)
	failing := storagetest.Wrap(storage)
	failing.Before = func(_ context.Context, operation storagetest.Operation) error {
		if operation.Kind == storagetest.List && operation.Key != HolderPrefix && operation.Key != StoragePrefix+"edge/" {
			return storagetest.ErrFailed
		}
		return nil
	}
	l := newLedger()
	require.Equal(t, start.Add(30*time.Minute), refusal(t, l, failing, intent("x", 1)).NextFree)
	entries, err := l.List(t.Context(), storage, "edge")
	require.NoError(t, err)
	_, err = l.LeaseExpiresAt(t.Context(), failing, &entries[0])
	require.ErrorIs(t, err, storagetest.ErrFailed)
}

// With many shared credentials, the next free slot is computed once in a second.
func TestLimit_ManyCredentials_RemembersTheNextSlot(t *testing.T) {
	for _, shared := range []int{exactSlots, exactSlots + 1} {
		entries := 1 + shared
		storage, clock := &logical.InmemStorage{}, providertest.NewClock()
		l := New(Options{Now: clock.Now})
		fill(t, storage, "edge", entries, func(i int, entry *Entry) {
			if i > 0 {
				entry.Shared = []byte(`{}`)
			}
		})
		freeAt := func() time.Time { return refusal(t, l, storage, intent("x", entries)).NextFree }
		end := func(in time.Duration) {
			entry, err := l.Get(t.Context(), storage, "edge", fmt.Sprintf("e%015d", 0))
			require.NoError(t, err)
			entry.LeaseExpiresAt = start.Add(in)
			require.NoError(t, l.Update(t.Context(), storage, entry))
		}
		require.Equal(t, start.Add(30*time.Minute), freeAt())
		end(20 * time.Minute)
		if shared == exactSlots {
			require.Equal(t, start.Add(20*time.Minute), freeAt(), "few credentials are looked at each time")
			continue
		}
		require.Equal(t, start.Add(30*time.Minute), freeAt())
		clock.Advance(expectedSlotAge - time.Nanosecond)
		require.Equal(t, start.Add(30*time.Minute), freeAt())
		clock.Advance(time.Nanosecond)
		require.Equal(t, start.Add(20*time.Minute), freeAt())
		end(10 * time.Minute)
		clock.Advance(-time.Minute)
		require.Equal(t, start.Add(10*time.Minute), freeAt(), "the clock was set back")
	}
}
