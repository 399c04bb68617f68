package storagetest_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run puts, reads, lists and deletes an entry, and returns the error of each operation.
func run(ctx context.Context, storage logical.Storage) []error {
	_, getErr := storage.Get(ctx, "a")
	_, listErr := storage.List(ctx, "")
	return []error{
		getErr, listErr, storage.Put(ctx, &logical.StorageEntry{Key: "a", Value: []byte("1")}), storage.Delete(ctx, "a"),
	}
}

func TestWrap_NoHooks_PassesAndCountsOperations(t *testing.T) {
	storage := storagetest.Wrap(&logical.InmemStorage{})
	require.Equal(t, make([]error, 4), run(t.Context(), storage))
	require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: "b", Value: []byte("2")}))
	entry, err := storage.Get(t.Context(), "b")
	require.NoError(t, err)
	require.Equal(t, "2", string(entry.Value))
	keys, err := storage.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, keys)
	require.Equal(t, map[storagetest.Kind]int{
		storagetest.Get: 2, storagetest.Put: 2, storagetest.List: 2, storagetest.Delete: 1,
	}, storage.Counts())
	require.Equal(t, 7, storage.Count())
	require.Equal(t, 3, storage.Count(storagetest.Writes...))
}

func TestHooks_Errors_ReplaceTheResult(t *testing.T) {
	rejected, lost := errors.New("rejected"), errors.New("lost")
	wrapped := &logical.InmemStorage{}
	storage := storagetest.Wrap(wrapped)
	storage.Before = func(_ context.Context, operation storagetest.Operation) error {
		if operation == (storagetest.Operation{Kind: storagetest.Get, Key: "a"}) {
			return rejected
		}
		return nil
	}
	storage.After = func(_ context.Context, operation storagetest.Operation) error {
		if operation.Kind == storagetest.Put {
			return lost
		}
		return nil
	}
	require.Equal(t, []error{rejected, nil, lost, nil}, run(t.Context(), storage))
}

func TestFaults_NthOperation_FailsAsNamed(t *testing.T) {
	failed := storagetest.ErrFailed
	for name, test := range map[string]struct {
		wrap func(logical.Storage) *storagetest.Storage
		want []error
		left []string
	}{
		"any operation": {
			func(s logical.Storage) *storagetest.Storage { return storagetest.FailNth(s, 2) },
			[]error{nil, failed, nil, nil}, []string{},
		},
		"operation of a kind": {
			func(s logical.Storage) *storagetest.Storage { return storagetest.FailNth(s, 1, storagetest.Delete) },
			[]error{nil, nil, nil, failed}, []string{"a"},
		},
		"all from the nth": {
			func(s logical.Storage) *storagetest.Storage {
				return storagetest.FailFrom(s, 1, storagetest.Writes...)
			},
			[]error{nil, nil, failed, failed}, []string{},
		},
		"acts and fails": {
			func(s logical.Storage) *storagetest.Storage {
				return storagetest.FailAfterNth(s, 2, storagetest.Writes...)
			},
			[]error{nil, nil, nil, failed}, []string{},
		},
		"while failing": {
			func(s logical.Storage) *storagetest.Storage {
				var failing atomic.Bool
				failing.Store(true)
				return storagetest.FailWhile(s, &failing, storagetest.List)
			},
			[]error{nil, failed, nil, nil}, []string{},
		},
		"while not failing": {
			func(s logical.Storage) *storagetest.Storage { return storagetest.FailWhile(s, new(atomic.Bool)) },
			make([]error, 4), []string{},
		},
		"never reached": {
			func(s logical.Storage) *storagetest.Storage { return storagetest.FailNth(s, 5) },
			make([]error, 4), []string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			storage := &logical.InmemStorage{}
			require.Equal(t, test.want, run(t.Context(), test.wrap(storage)))
			left, err := storage.List(t.Context(), "")
			require.NoError(t, err)
			require.ElementsMatch(t, test.left, left)
		})
	}
}

func TestBlockNth_NthOperationOnTheKey_WaitsForTheGate(t *testing.T) {
	storage, gate := storagetest.BlockNth(&logical.InmemStorage{}, 2, storagetest.Get, "a")
	require.Equal(t, make([]error, 4), run(t.Context(), storage))
	done := make(chan error)
	go func() { _, err := storage.Get(context.Background(), "a"); done <- err }()
	<-gate.Reached
	_, err := storage.Get(t.Context(), "b")
	require.NoError(t, err, "other keys do not wait")
	select {
	case err := <-done:
		require.Fail(t, "the operation did not wait", "%v", err)
	default:
	}
	gate.Open()
	require.NoError(t, <-done)
}
