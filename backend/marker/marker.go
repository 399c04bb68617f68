// Package marker makes the names by which credentials of this mount are found at a vendor:
// vault-<mount>-<name>-<id>, for example vault-k3x9q2ab-ftd-admin-mzxw6ytboi5dkmrt.
package marker

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// StorageKey is where the mount's id is stored. It must be local storage: the clusters of a replication
	// group share the mount's UUID but not the ledger, so each cluster must treat the credentials of the
	// others as foreign.
	StorageKey = "mount_id"

	// IDLength is the length of an id in characters.
	IDLength = 16

	// mountIDLength is long enough that two mounts at one vendor account do not collide: 40 random bits.
	mountIDLength = 8

	// maxNameLength is how much of a role's name a marker carries: enough for a person to recognise it.
	maxNameLength = 24
)

// idEncoding makes ids that every vendor accepts in a name.
var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// NewID returns 80 random bits as 16 characters of [a-z2-7].
func NewID(random io.Reader) (string, error) {
	var bits [10]byte
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		return "", fmt.Errorf("reading random bytes for a credential id: %w", err)
	}
	return strings.ToLower(idEncoding.EncodeToString(bits[:])), nil
}

// isForeign reports whether a character is in no marker. A vendor's list can hold any.
func isForeign(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }

// ID returns the id at the end of a marker that begins with prefix. It reports false for a name that is not
// a complete marker: a vendor may shorten or change names, and such a name does not tell whose it is.
func ID(marker, prefix string) (id string, complete bool) {
	rest, ours := strings.CutPrefix(marker, prefix)
	dash := strings.LastIndexByte(rest, '-')
	if !ours || dash < 0 || dash > maxNameLength || len(rest)-dash-1 != IDLength || strings.ContainsFunc(marker, isForeign) {
		return "", false
	}
	return rest[dash+1:], true
}

// Mount makes the markers of one mount. The zero value is ready for use. It is safe for concurrent use.
type Mount struct {
	mu sync.Mutex
	id string
}

// mountRecord is the stored mount id.
type mountRecord struct {
	ID string `json:"id"`
}

// Prefix returns the beginning of all markers of the mount. The first call creates the mount's id and
// stores it; later calls need no storage.
func (m *Mount) Prefix(ctx context.Context, storage logical.Storage) (string, error) {
	id, err := m.mountID(ctx, storage)
	return "vault-" + id + "-", err
}

// Marker returns the marker for a credential with this id, of [a-z0-9-], at most 56 bytes. name, which is
// usually the role's, is for the people who read it at the vendor.
func (m *Mount) Marker(ctx context.Context, storage logical.Storage, name, id string) (string, error) {
	readable := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
	if len(readable) > maxNameLength {
		readable = readable[:maxNameLength]
	}
	prefix, err := m.Prefix(ctx, storage)
	return prefix + readable + "-" + id, err
}

func (m *Mount) mountID(ctx context.Context, storage logical.Storage) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.id != "" {
		return m.id, nil
	}
	stored, err := storage.Get(ctx, StorageKey)
	if err != nil {
		return "", fmt.Errorf("reading the mount's id: %w", err)
	}
	var record mountRecord
	if stored != nil {
		if err := stored.DecodeJSON(&record); err != nil {
			return "", fmt.Errorf("decoding the mount's id: %w", err)
		}
	}
	if record.ID == "" {
		record.ID = strings.ToLower(rand.Text()[:mountIDLength])
		stored, err := logical.StorageEntryJSON(StorageKey, record)
		if err == nil {
			err = storage.Put(ctx, stored)
		}
		if err != nil {
			return "", fmt.Errorf("storing the mount's id: %w", err)
		}
	}
	m.id = record.ID
	return m.id, nil
}
