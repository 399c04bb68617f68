package storagetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"
)

// ErrFailed is the error of an operation that fails on purpose.
var ErrFailed = errors.New("storage is gone")

// FailNth returns a storage whose n-th operation (from 1) of the given kinds fails and does not act. Without
// kinds, all operations count. If [Storage.Count] of the kinds is below n afterwards, nothing has failed.
func FailNth(storage logical.Storage, n int, kinds ...Kind) *Storage {
	wrapped, number := Wrap(storage), counter(kinds)
	wrapped.Before = failWhen(func(operation Operation) bool { return number(operation) == n })
	return wrapped
}

// FailFrom returns a storage whose n-th operation (from 1) of the given kinds fails and does not act, and so do
// all later ones of these kinds: what remains in storage is what a process leaves that is killed at that
// moment.
func FailFrom(storage logical.Storage, n int, kinds ...Kind) *Storage {
	wrapped, number := Wrap(storage), counter(kinds)
	wrapped.Before = failWhen(func(operation Operation) bool { return number(operation) >= n })
	return wrapped
}

// FailWhile returns a storage whose operations of the given kinds fail and do not act while failing is true. Without
// kinds, all operations fail.
func FailWhile(storage logical.Storage, failing *atomic.Bool, kinds ...Kind) *Storage {
	wrapped := Wrap(storage)
	wrapped.Before = failWhen(func(operation Operation) bool { return failing.Load() && matches(operation.Kind, kinds) })
	return wrapped
}

// FailAfterNth returns a storage whose n-th operation (from 1) of the given kinds acts and then reports a
// failure, as on a leader that loses its lock during a write.
func FailAfterNth(storage logical.Storage, n int, kinds ...Kind) *Storage {
	wrapped, number := Wrap(storage), counter(kinds)
	wrapped.After = failWhen(func(operation Operation) bool { return number(operation) == n })
	return wrapped
}

// Gate holds one storage operation.
type Gate struct {
	// Reached is closed when the operation has arrived. It has not acted yet.
	Reached chan struct{}
	open    chan struct{}
}

// Open lets the operation continue. Call it once.
func (g *Gate) Open() { close(g.open) }

// BlockNth returns a storage whose n-th operation (from 1) of this kind on this key waits until the gate is
// opened. The operation then acts as usual.
func BlockNth(storage logical.Storage, n int, kind Kind, key string) (*Storage, *Gate) {
	wrapped, gate := Wrap(storage), &Gate{Reached: make(chan struct{}), open: make(chan struct{})}
	var reached atomic.Int64
	wrapped.Before = func(_ context.Context, operation Operation) error {
		if operation == (Operation{kind, key}) && reached.Add(1) == int64(n) {
			close(gate.Reached)
			<-gate.open
		}
		return nil
	}
	return wrapped, gate
}

// counter returns a function that numbers the operations of the given kinds from 1. The number of any other
// operation is 0.
func counter(kinds []Kind) func(Operation) int {
	var count atomic.Int64
	return func(operation Operation) int {
		if !matches(operation.Kind, kinds) {
			return 0
		}
		return int(count.Add(1))
	}
}

// failWhen returns a hook that fails the operations for which fails returns true.
func failWhen(fails func(Operation) bool) Hook {
	return func(_ context.Context, operation Operation) error {
		if fails(operation) {
			return ErrFailed
		}
		return nil
	}
}

// matches reports whether kind is one of kinds. Every kind matches an empty list.
func matches(kind Kind, kinds []Kind) bool { return len(kinds) == 0 || slices.Contains(kinds, kind) }
