package backend

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// mountIDKey is where the mount's tag is stored. It is local: the clusters of a replication group share the
// mount's UUID but not the ledger, and must take each other's credentials for strangers'.
const mountIDKey = "mount_id"

// mountID holds the mount's tag in memory.
type mountID struct {
	mu sync.Mutex
	id string
}

// mountIDRecord is the stored tag.
type mountIDRecord struct {
	ID string `json:"id"`
}

// mountIDLength is long enough that two mounts at one vendor account never meet.
const mountIDLength = 8

// loadMountID returns the part of every marker that tells this mount's credentials from those of others. It is
// made when the first credential is issued.
func (b *backend) loadMountID(ctx context.Context, storage logical.Storage) (string, error) {
	b.mountID.mu.Lock()
	defer b.mountID.mu.Unlock()
	if b.mountID.id != "" {
		return b.mountID.id, nil
	}
	var record mountIDRecord
	if _, err := readRecord(ctx, storage, mountIDKey, &record); err != nil {
		return "", err
	}
	if record.ID == "" {
		record.ID = strings.ToLower(rand.Text()[:mountIDLength])
		stored, err := logical.StorageEntryJSON(mountIDKey, record)
		if err == nil {
			err = storage.Put(ctx, stored)
		}
		if err != nil {
			return "", fmt.Errorf("storing the mount's tag: %w", err)
		}
	}
	b.mountID.id = record.ID
	return record.ID, nil
}

// markerPrefix begins the markers of all credentials of this mount.
func (b *backend) markerPrefix(ctx context.Context, storage logical.Storage) (string, error) {
	tag, err := b.loadMountID(ctx, storage)
	return "vault-" + tag + "-", err
}

// maxMarkerRole is how much of a role's name stands in a marker: enough for a person to recognise it.
const maxMarkerRole = 24

// marker names a credential at the vendor: vault-<mount>-<role>-<id>, of [a-z0-9-], at most 56 bytes.
func (b *backend) marker(ctx context.Context, storage logical.Storage, role, id string) (string, error) {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, role)
	if len(readable) > maxMarkerRole {
		readable = readable[:maxMarkerRole]
	}
	prefix, err := b.markerPrefix(ctx, storage)
	return prefix + readable + "-" + id, err
}
