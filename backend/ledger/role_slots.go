package ledger

import (
	"container/heap"
	"math"
	"time"
)

// roleSlots are the entries of a role that occupy a slot. A refused request is told when the next slot is expected to be
// free, at any number of entries.
type roleSlots struct {
	// used counts the entries, and members the groups of the role.
	used, members int
	// free orders the entries by the time when they are expected to give back their slot. It has neither the unreadable
	// entries, whose slot this version of the plugin never frees, nor those in shared.
	free recordHeap
	// shared are the live shared credentials: the ends of their leases are not in the index.
	shared map[*record]struct{}
}

func newRoleSlots() *roleSlots {
	return &roleSlots{
		free:   recordHeap{less: func(a, b *record) bool { return a.freeAt() < b.freeAt() }, place: freePlace},
		shared: make(map[*record]struct{}),
	}
}

func freePlace(r *record) *int32 { return &r.freePosition }

// hold counts a record. It is called with the lock of the index held, as release is.
func (s *roleSlots) hold(r *record) {
	s.used++
	switch {
	case states[r.state] == StateUnreadable:
	case r.isLiveShared():
		s.shared[r] = struct{}{}
	default:
		heap.Push(&s.free, r)
	}
}

// release is the reverse of hold. The record has not changed since then.
func (s *roleSlots) release(r *record) {
	s.used--
	switch {
	case states[r.state] == StateUnreadable:
	case r.isLiveShared():
		delete(s.shared, r)
	default:
		s.free.remove(r)
	}
}

// firstFree returns when the first of the exclusive credentials is expected to give back its slot. The zero time is
// unknown.
func (s *roleSlots) firstFree() time.Time {
	if len(s.free.records) == 0 {
		return time.Time{}
	}
	if at := s.free.records[0].freeAt(); at != math.MaxInt64 {
		return fromNano(at)
	}
	return time.Time{}
}

func (r *record) isLiveShared() bool { return r.has(flagShared) && states[r.state] == StateLive }

// freeAt is the function freeAt for the record of an exclusive credential; an unknown time is the last.
func (r *record) freeAt() int64 {
	at := r.leaseExpiresAt
	switch states[r.state] {
	case StateRevoking, StateSearching:
		at = 0
		if r.rare != nil {
			at = r.rare.nextAttempt
		}
	case StateExpiring:
		at = r.expiresAt
	case StateIssuing, StateLive, StateUnreadable:
		if r.expiresAt < r.leaseExpiresAt && !r.has(flagExpiryNotEnforced) {
			at = r.expiresAt
		}
	}
	if at == 0 {
		return math.MaxInt64
	}
	return at
}
