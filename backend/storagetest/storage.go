// Package storagetest has a [logical.Storage] for tests: it counts operations, and makes chosen ones fail,
// wait, or meet another change.
package storagetest

import (
	"context"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// Writes are the kinds that change storage.
var Writes = []Kind{Put, Delete}

// Kind is a kind of storage operation.
type Kind string

// The kinds of operations.
const (
	Get    Kind = "get"
	Put    Kind = "put"
	List   Kind = "list"
	Delete Kind = "delete"
)

// Operation is one storage operation.
type Operation struct {
	Kind Kind
	// Key is the key of the entry, or the prefix of a list.
	Key string
}

// Hook runs before or after an operation. An error is what the operation returns.
type Hook func(ctx context.Context, operation Operation) error

// Storage passes every operation to the storage that it wraps. It is safe for concurrent use if its hooks are.
type Storage struct {
	// Before runs before an operation. If it returns an error, the operation does not act. Nil does nothing.
	Before Hook
	// After runs after an operation that has succeeded. If it returns an error, the operation has acted and
	// still reports a failure. Nil does nothing.
	After Hook

	wrapped logical.Storage
	mu      sync.Mutex
	counts  map[Kind]int
}

var _ logical.Storage = (*Storage)(nil)

// Wrap returns a Storage over storage, without hooks. Set the hooks before the first operation.
func Wrap(storage logical.Storage) *Storage {
	return &Storage{wrapped: storage, counts: make(map[Kind]int)}
}

// Counts returns how many operations of each kind were asked for, whether or not they succeeded. A kind that
// was not asked for is absent.
func (s *Storage) Counts() map[Kind]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[Kind]int, len(s.counts))
	for kind, count := range s.counts {
		counts[kind] = count
	}
	return counts
}

// Count returns how many operations of the given kinds were asked for. Without kinds, it counts all.
func (s *Storage) Count(kinds ...Kind) int {
	total := 0
	for kind, count := range s.Counts() {
		if matches(kind, kinds) {
			total += count
		}
	}
	return total
}

// Get reads an entry.
func (s *Storage) Get(ctx context.Context, key string) (entry *logical.StorageEntry, err error) {
	err = s.do(ctx, Operation{Get, key}, func() error {
		entry, err = s.wrapped.Get(ctx, key)
		return err
	})
	return entry, err
}

// Put writes an entry.
func (s *Storage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	return s.do(ctx, Operation{Put, entry.Key}, func() error { return s.wrapped.Put(ctx, entry) })
}

// List returns the keys below a prefix.
func (s *Storage) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.do(ctx, Operation{List, prefix}, func() error {
		keys, err = s.wrapped.List(ctx, prefix)
		return err
	})
	return keys, err
}

// Delete deletes an entry.
func (s *Storage) Delete(ctx context.Context, key string) error {
	return s.do(ctx, Operation{Delete, key}, func() error { return s.wrapped.Delete(ctx, key) })
}

// do counts an operation and runs it between the hooks.
func (s *Storage) do(ctx context.Context, operation Operation, act func() error) error {
	s.mu.Lock()
	s.counts[operation.Kind]++
	s.mu.Unlock()
	if s.Before != nil {
		if err := s.Before(ctx, operation); err != nil {
			return err
		}
	}
	if err := act(); err != nil || s.After == nil {
		return err
	}
	return s.After(ctx, operation)
}
