package backend

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

// identityKey is where the mount's tag is stored. It is local: the clusters of a replication group share the
// mount's UUID but not the ledger, and must take each other's credentials for strangers'.
const identityKey = "identity"

// identity holds the mount's tag in memory.
type identity struct {
	mu  sync.Mutex
	tag string
}

// identityRecord is the stored tag.
type identityRecord struct {
	Tag string `json:"tag"`
}

// tagLength is long enough that two mounts at one vendor account never meet.
const tagLength = 8

// mountTag returns the part of every marker that tells this mount's credentials from those of others. It is
// made when the first credential is issued.
func (b *backend) mountTag(ctx context.Context, storage logical.Storage) (string, error) {
	b.identity.mu.Lock()
	defer b.identity.mu.Unlock()
	if b.identity.tag != "" {
		return b.identity.tag, nil
	}
	var record identityRecord
	if _, err := readRecord(ctx, storage, identityKey, &record); err != nil {
		return "", err
	}
	if record.Tag == "" {
		record.Tag = strings.ToLower(rand.Text()[:tagLength])
		stored, err := logical.StorageEntryJSON(identityKey, record)
		if err == nil {
			err = storage.Put(ctx, stored)
		}
		if err != nil {
			return "", fmt.Errorf("storing the mount's tag: %w", err)
		}
	}
	b.identity.tag = record.Tag
	return record.Tag, nil
}

// markerPrefix begins the markers of all credentials of this mount.
func (b *backend) markerPrefix(ctx context.Context, storage logical.Storage) (string, error) {
	tag, err := b.mountTag(ctx, storage)
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
