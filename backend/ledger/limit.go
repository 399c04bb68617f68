package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// LimitError is returned by Reserve when a config, or a role, has as many live credentials as it may.
type LimitError struct {
	// Used and Limit count credentials.
	Used, Limit int
	// Role is the role whose own limit applied; empty when it was the config's.
	Role string
	// NextFree is when a slot is expected to be free: the end of a lease unless it is renewed, or the next
	// attempt to revoke a credential. It is the time of the refusal or later.
	NextFree time.Time
}

// Error names used, limit, whose limit it is, and when a slot is expected to be free.
func (e *LimitError) Error() string {
	whose := "the config"
	if e.Role != "" {
		whose = fmt.Sprintf("role %q", e.Role)
	}
	return fmt.Sprintf("%d of %d credentials of %s in use, a slot is expected to be free at %s",
		e.Used, e.Limit, whose, e.NextFree.UTC().Format(time.RFC3339))
}

const (
	// exactSlots is up to how many shared credentials the next free slot is computed for each refusal. With more, the
	// result is used for expectedSlotAge.
	exactSlots      = 1000
	expectedSlotAge = time.Second

	// maxSharedSlots is for how many shared credentials the ends of their leases are found out for one refusal.
	maxSharedSlots = 8
)

// expectedSlot is when a slot is expected to be free, and when that was computed.
type expectedSlot struct{ freeAt, computedAt time.Time }

// explain adds to a LimitError when a slot is expected to be free. It returns other errors unchanged.
func (l *Ledger) explain(ctx context.Context, storage logical.Storage, x *index, err error) error {
	full, ok := errors.AsType[*LimitError](err)
	if !ok {
		return err
	}
	now := l.options.Now()
	first, shared, fresh := x.firstFree(full.Role, now)
	if !fresh {
		for i := range shared {
			first = earlier(first, l.sharedFreeAt(ctx, storage, &shared[i], i < maxSharedSlots))
		}
		x.expectSlot(full.Role, expectedSlot{freeAt: first, computedAt: now})
	}
	full.NextFree = first
	if first.Before(now) {
		full.NextFree = now
	}
	return full
}

// earlier returns the earlier of two times. The zero time is unknown.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// firstFree returns when the first of the exclusive credentials of a role, or of all if role is empty, is expected to
// give back its slot, and the shared ones, whose holders the caller asks. fresh is true for a result of a moment ago,
// which is complete. It costs as much as there are roles and shared credentials.
func (x *index) firstFree(role string, now time.Time) (first time.Time, shared []Entry, fresh bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	holding := 0
	for name, slots := range x.roles {
		if role == "" || role == name {
			first = earlier(first, slots.firstFree())
			holding += len(slots.shared)
		}
	}
	if known, ok := x.nextFree[role]; ok && holding > exactSlots {
		if age := now.Sub(known.computedAt); age >= 0 && age < expectedSlotAge {
			return known.freeAt, nil, true
		}
	}
	for name, slots := range x.roles {
		if role == "" || role == name {
			for r := range slots.shared {
				shared = append(shared, r.entry(x.config))
			}
		}
	}
	return first, shared, false
}

// expectSlot remembers a result of firstFree.
func (x *index) expectSlot(role string, expected expectedSlot) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.nextFree[role] = expected
}

// sharedFreeAt returns when a shared credential is expected to give back its slot. Without the ends of its leases, the
// entry's own times are the best that is known.
func (l *Ledger) sharedFreeAt(ctx context.Context, storage logical.Storage, entry *Entry, ask bool) time.Time {
	end := entry.LeaseExpiresAt
	if ask {
		if last, err := l.LeaseExpiresAt(ctx, storage, entry); err == nil {
			end = last
		}
	}
	return freeAt(entry, end)
}

// freeAt returns when an entry is expected to give back its slot. leaseEnd is the end of its last lease.
func freeAt(entry *Entry, leaseEnd time.Time) time.Time {
	switch entry.State {
	case StateRevoking, StateSearching:
		return entry.NextAttemptAt
	case StateExpiring:
		return entry.ExpiresAt
	case StateIssuing, StateLive, StateUnreadable:
	}
	if entry.ExpiresAt.Before(leaseEnd) && !entry.ExpiryNotEnforced {
		return entry.ExpiresAt
	}
	return leaseEnd
}

// LeaseExpiresAt returns when the last lease on a credential ends unless it is renewed. If a shared credential has more
// holders than can be asked at once, it is the latest possible time. Errors are those of storage.
func (l *Ledger) LeaseExpiresAt(ctx context.Context, storage logical.Storage, entry *Entry) (time.Time, error) {
	if !entry.IsShared() {
		return entry.LeaseExpiresAt, nil
	}
	last, known, err := l.LastLeaseEnd(ctx, storage, entry.Config, entry.ID)
	switch {
	case err != nil:
		return time.Time{}, err
	case !known && !entry.MaxExpiresAt.IsZero():
		return entry.MaxExpiresAt, nil
	case last.IsZero():
		return entry.LeaseExpiresAt, nil
	}
	return last, nil
}
