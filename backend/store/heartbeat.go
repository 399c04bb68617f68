package store

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// HeartbeatKey is where a mount's heartbeat is stored. It is local: each cluster has its own.
const HeartbeatKey = "heartbeat"

// HeartbeatVersion is the schema version of the heartbeat.
const HeartbeatVersion = 1

// Heartbeat tells when the mount was last known to be active. A long gap before a start means that the storage may
// be a restored copy, whose original runs and has changed credentials since.
type Heartbeat struct {
	// Version is the schema version.
	Version int `json:"version"`
	// At is when the mount was active.
	At time.Time `json:"at"`
	// GapAt is when the last gap ended, which is the start of the process that noticed it. Zero if there was none.
	GapAt time.Time `json:"gap_at,omitzero"`
}

// ReadHeartbeat reads the heartbeat from storage. It returns nil when there is none.
func ReadHeartbeat(ctx context.Context, storage logical.Storage) (*Heartbeat, error) {
	var record Heartbeat
	found, err := read(ctx, storage, HeartbeatKey, &record)
	if err != nil || !found {
		return nil, err
	}
	if record.Version > HeartbeatVersion {
		return nil, versionError(HeartbeatKey)
	}
	return &record, nil
}

// WriteHeartbeat stores the heartbeat.
func WriteHeartbeat(ctx context.Context, storage logical.Storage, record Heartbeat) error {
	record.Version = HeartbeatVersion
	stored, err := logical.StorageEntryJSON(HeartbeatKey, record)
	if err == nil {
		err = storage.Put(ctx, stored)
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", HeartbeatKey, err)
	}
	return nil
}
