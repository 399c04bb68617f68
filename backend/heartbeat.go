package backend

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// heartbeatInterval is how often the heartbeat is stored.
	heartbeatInterval = 10 * time.Minute

	// maxHeartbeatGap is the longest time without a heartbeat before a start after which the mount trusts its storage.
	// It leaves time for an update or a failover.
	maxHeartbeatGap = 30 * time.Minute
)

// eventGap is sent when a mount starts after a gap in its heartbeat.
const eventGap = "vendorauth/heartbeat-gap"

// heartbeat is what a process knows of the mount's heartbeat. It is safe for concurrent use.
type heartbeat struct {
	mu sync.Mutex
	// loaded is true once the stored record was read, and stored once a gap that was found is in storage.
	loaded, stored bool
	record         store.Heartbeat
}

// gapAt returns when the last gap in the mount's heartbeat ended. It is zero if there was none. Storage is read only
// the first time in a process.
func (b *backend) gapAt(ctx context.Context, storage logical.Storage) (time.Time, error) {
	b.heartbeat.mu.Lock()
	defer b.heartbeat.mu.Unlock()
	err := b.loadHeartbeat(ctx, storage)
	return b.heartbeat.record.GapAt, err
}

// loadHeartbeat reads the stored heartbeat once, and looks for a gap. The lock is held.
func (b *backend) loadHeartbeat(ctx context.Context, storage logical.Storage) error {
	if b.heartbeat.loaded {
		return nil
	}
	record, err := store.ReadHeartbeat(ctx, storage)
	if err != nil {
		return err
	}
	now := b.clock.Now()
	if record == nil {
		record = &store.Heartbeat{}
	}
	if record.GapAt.After(now) {
		record.GapAt = now // found by a clock that was ahead
	}
	if gap := now.Sub(record.At); !record.At.IsZero() && gap > maxHeartbeatGap {
		record.GapAt = now
		b.Logger().Warn("the mount was not active for a long time; if its storage is a restored copy and the original runs, "+
			"cut this Vault off from the vendors. Root credentials are not rotated automatically until an operator rotates each of them",
			"last_active", record.At, "gap", gap.Round(time.Second).String())
		b.sendEvent(ctx, eventGap, "last_active", formatTime(record.At))
	}
	b.heartbeat.loaded, b.heartbeat.record = true, *record
	return nil
}

// beat stores that the mount is active, every ten minutes. While it fails, the background work does nothing: it
// must know of a gap.
func (b *backend) beat(ctx context.Context, storage logical.Storage) error {
	b.heartbeat.mu.Lock()
	defer b.heartbeat.mu.Unlock()
	if err := b.loadHeartbeat(ctx, storage); err != nil {
		return err
	}
	now := b.clock.Now()
	age := now.Sub(b.heartbeat.record.At)
	// A heartbeat in the future was stored by a clock that was ahead.
	if b.heartbeat.stored && age >= 0 && age < heartbeatInterval {
		return nil
	}
	next := b.heartbeat.record
	next.At = now
	if next.GapAt.After(now) {
		next.GapAt = now // found by a clock that was ahead
	}
	if err := store.WriteHeartbeat(ctx, storage, next); err != nil {
		return err
	}
	b.heartbeat.stored, b.heartbeat.record = true, next
	return nil
}

// isSuspended reports whether the engine does not change a config's root credential at the vendor automatically, since
// this Vault may be a copy. It ends when an operator rotates the root credential or writes another one.
func (b *backend) isSuspended(ctx context.Context, storage logical.Storage, config *store.Config) (bool, error) {
	gapAt, err := b.gapAt(ctx, storage)
	if err != nil || gapAt.IsZero() {
		return false, err
	}
	updatedAt := config.Root.UpdatedAt
	return !updatedAt.After(gapAt) || updatedAt.After(b.clock.Now()), nil
}
