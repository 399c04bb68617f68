package ledger

import (
	"context"
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

// nextFree returns when the first of these slots is expected to be free, not before now.
func (l *Ledger) nextFree(ctx context.Context, storage logical.Storage, occupying []Entry, now time.Time) time.Time {
	var first time.Time
	for i := range occupying {
		if occupying[i].State == StateUnreadable {
			continue // this version of the plugin never frees it
		}
		free := l.freeAt(ctx, storage, &occupying[i])
		if first.IsZero() || free.Before(first) {
			first = free
		}
	}
	if first.Before(now) {
		return now
	}
	return first
}

// freeAt returns when an entry is expected to give back its slot.
func (l *Ledger) freeAt(ctx context.Context, storage logical.Storage, entry *Entry) time.Time {
	switch entry.State {
	case StateRevoking, StateSearching:
		return entry.NextAttemptAt
	case StateExpiring:
		return entry.ExpiresAt
	case StateIssuing, StateLive, StateUnreadable:
	}
	// Without the holders, the entry's own time is the best that is known.
	end, err := l.LeaseExpiresAt(ctx, storage, entry)
	if err != nil {
		end = entry.LeaseExpiresAt
	}
	if entry.ExpiresAt.Before(end) && !entry.ExpiryNotEnforced {
		return entry.ExpiresAt
	}
	return end
}

// LeaseExpiresAt returns when the last lease on a credential ends unless it is renewed. Errors are those of
// storage, which is read once for the holders of a shared credential.
func (l *Ledger) LeaseExpiresAt(ctx context.Context, storage logical.Storage, entry *Entry) (time.Time, error) {
	if !entry.IsShared() {
		return entry.LeaseExpiresAt, nil
	}
	last, err := l.LastLeaseEnd(ctx, storage, entry.Config, entry.ID)
	if err != nil {
		return time.Time{}, err
	}
	if last.IsZero() {
		return entry.LeaseExpiresAt, nil
	}
	return last, nil
}
