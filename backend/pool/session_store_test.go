package pool

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestSessionStore_SavedLogin_BelongsToItsConnection(t *testing.T) {
	storage := &logical.InmemStorage{}
	own, successor := newSessionStore(storage, "edge", "1"), newSessionStore(storage, "edge", "2")
	require.NoError(t, own.Save(t.Context(), []byte("login")))
	require.NoError(t, successor.Save(t.Context(), []byte("next")))
	require.NoError(t, own.Save(t.Context(), nil))
	login, err := own.Load(t.Context())
	require.NoError(t, err)
	require.Nil(t, login)
	login, err = successor.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "next", string(login))
	require.NoError(t, DeleteSessions(t.Context(), storage, "edge"))
	login, err = successor.Load(t.Context())
	require.NoError(t, err)
	require.Nil(t, login)
}

func TestSharedStore_VendorAndKey_IdentifyTheLogin(t *testing.T) {
	storage := &logical.InmemStorage{}
	require.NoError(t, newSharedStore(storage, "v", "user").Save(t.Context(), []byte("login")))
	for _, other := range []*sessionStore{newSharedStore(storage, "w", "user"), newSharedStore(storage, "v", "other")} {
		login, err := other.Load(t.Context())
		require.NoError(t, err)
		require.Nil(t, login)
	}
	login, err := newSharedStore(storage, "v", "user").Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, "login", string(login))
}

func TestSessionStore_StorageFails_IsAnError(t *testing.T) {
	for name, act := range map[string]func(context.Context, logical.Storage) error{
		"load": func(ctx context.Context, storage logical.Storage) error {
			_, err := newSessionStore(storage, "edge", "1").Load(ctx)
			return err
		},
		"save": func(ctx context.Context, storage logical.Storage) error {
			return newSessionStore(storage, "edge", "1").Save(ctx, []byte("x"))
		},
		"remove": func(ctx context.Context, storage logical.Storage) error {
			return newSessionStore(storage, "edge", "1").Save(ctx, nil)
		},
		"delete": func(ctx context.Context, storage logical.Storage) error { return DeleteSessions(ctx, storage, "edge") },
	} {
		t.Run(name, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			require.ErrorIs(t, act(t.Context(), storagetest.FailNth(storage, 1)), storagetest.ErrFailed)
			require.NoError(t, act(t.Context(), storage))
		})
	}
}
