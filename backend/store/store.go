// Package store keeps the records that operators write: configs with their root credentials, roles, and the
// intents of root credentials that are being created. It caches decoded records, serialises changes, and
// makes no network call.
package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// ConfigPrefix is where configs are stored. With its slash it is seal-wrapped.
	ConfigPrefix = "config/"
	// RolePrefix is where roles are stored.
	RolePrefix = "role/"
	// RootIntentPrefix is where the intents of root credentials are stored, by config.
	RootIntentPrefix = "bootstrap/"
)

// ErrIndeterminate is in the chain of an error of a write that may have happened although it reported a
// failure: a leader that is deposed while it writes cannot tell.
var ErrIndeterminate = errors.New("the record may be stored all the same")

// Store keeps the configs and roles of one mount. It is safe for concurrent use.
type Store struct {
	configs *cache[Config]
	roles   *cache[Role]

	// mu serialises each read-change-write. No vendor is called while it is held.
	mu sync.Mutex
}

// New returns an empty store, which reads from storage when it is asked.
func New() *Store { return &Store{configs: newCache[Config](), roles: newCache[Role]()} }

// Config returns a stored config, or nil when there is none of that name. It reads storage only the first
// time. The config is shared and must not be changed.
func (s *Store) Config(ctx context.Context, storage logical.Storage, name string) (*Config, error) {
	return s.configs.get(ctx, name, func(ctx context.Context, name string) (*Config, error) {
		return ReadConfig(ctx, storage, name)
	})
}

// ConfigNames lists the names of all configs.
func (s *Store) ConfigNames(ctx context.Context, storage logical.Storage) ([]string, error) {
	names, err := storage.List(ctx, ConfigPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the configs: %w", err)
	}
	return names, nil
}

// CompareAndSwapConfig stores next unless the config has changed since old was read; old is nil for a config
// that must not exist yet. A conflict is an error with status 409. Next gets a new revision.
func (s *Store) CompareAndSwapConfig(ctx context.Context, storage logical.Storage, name string, old, next *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, err := ReadConfig(ctx, storage, name)
	if err != nil {
		return err
	}
	if (current == nil) != (old == nil) || current != nil && current.Revision != old.Revision {
		return Conflict(name)
	}
	return s.putConfig(ctx, storage, name, next)
}

// ChangeConfig applies change to a stored config. It reports false, without an error, when there is no
// config of that name.
func (s *Store) ChangeConfig(ctx context.Context, storage logical.Storage, name string, change func(*Config)) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, err := ReadConfig(ctx, storage, name)
	if err != nil || current == nil {
		return false, err
	}
	change(current)
	return true, s.putConfig(ctx, storage, name, current)
}

// DeleteConfigIfUnchanged deletes a config unless it has changed since entry was read: a rotation may have
// stored a root credential that only Vault knows. A conflict is an error with status 409.
func (s *Store) DeleteConfigIfUnchanged(ctx context.Context, storage logical.Storage, name string, entry *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.configs.forget(name)
	current, err := ReadConfig(ctx, storage, name)
	if err != nil {
		return err
	}
	if current != nil && current.Revision != entry.Revision {
		return Conflict(name)
	}
	if err := storage.Delete(ctx, ConfigPrefix+name); err != nil {
		return fmt.Errorf("deleting config %q: %w", name, err)
	}
	return nil
}

func (s *Store) putConfig(ctx context.Context, storage logical.Storage, name string, entry *Config) error {
	entry.Revision = rand.Text()
	stored, err := logical.StorageEntryJSON(ConfigPrefix+name, entry)
	if err != nil {
		return fmt.Errorf("encoding config %q: %w", name, err)
	}
	stored.SealWrap = true
	defer s.configs.forget(name)
	if err := storage.Put(ctx, stored); err != nil {
		return fmt.Errorf("storing config %q: %w: %w", name, ErrIndeterminate, err)
	}
	return nil
}

// Role returns a stored role, or nil when there is none of that name. It reads storage only the first time.
// The role is shared and must not be changed.
func (s *Store) Role(ctx context.Context, storage logical.Storage, name string) (*Role, error) {
	return s.roles.get(ctx, name, func(ctx context.Context, name string) (*Role, error) {
		return ReadRole(ctx, storage, name)
	})
}

// WriteRole stores what merge makes of the stored role, which is nil when there is none. It writes nothing if both are
// the same. An error of merge is returned unchanged, and nothing is stored.
func (s *Store) WriteRole(ctx context.Context, storage logical.Storage, name string, merge func(old *Role) (*Role, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := ReadRole(ctx, storage, name)
	if err != nil {
		return err
	}
	entry, err := merge(old)
	if err != nil {
		return err
	}
	if old != nil && SameRecord(old, entry) {
		return nil
	}
	stored, err := logical.StorageEntryJSON(RolePrefix+name, entry)
	if err != nil {
		return fmt.Errorf("encoding role %q: %w", name, err)
	}
	defer s.roles.forget(name)
	if err := storage.Put(ctx, stored); err != nil {
		return fmt.Errorf("storing role %q: %w", name, err)
	}
	return nil
}

// DeleteRole deletes a role, and reports whether it existed. Deleting a role that does not exist succeeds.
func (s *Store) DeleteRole(ctx context.Context, storage logical.Storage, name string) (existed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.roles.forget(name)
	// Only the key matters: a role that this version cannot read can be deleted.
	stored, err := storage.Get(ctx, RolePrefix+name)
	if err != nil {
		return false, fmt.Errorf("deleting role %q: %w", name, err)
	}
	if err := storage.Delete(ctx, RolePrefix+name); err != nil {
		return false, fmt.Errorf("deleting role %q: %w", name, err)
	}
	return stored != nil, nil
}

// InvalidateConfig forgets a config that another node has written, and InvalidateRole a role.
func (s *Store) InvalidateConfig(name string) { s.configs.forget(name) }

// InvalidateRole forgets a role that another node has written.
func (s *Store) InvalidateRole(name string) { s.roles.forget(name) }

// Conflict is the error for a write that would overwrite what another request has stored in the meantime. Its
// status is 409.
func Conflict(config string) error {
	return logical.CodedError(http.StatusConflict,
		fmt.Sprintf("config %q was changed by another request at the same time; read it and try again", config))
}

// IsSensitive reports whether a field holds a secret.
func IsSensitive(field *framework.FieldSchema) bool {
	return field.DisplayAttrs != nil && field.DisplayAttrs.Sensitive
}

// SameRecord reports whether two configs or roles are stored as the same text.
func SameRecord[T Config | Role](a, b *T) bool {
	first, err := json.Marshal(a)
	second, otherErr := json.Marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(first, second)
}

// read decodes a stored record. It reports false when there is none.
func read(ctx context.Context, storage logical.Storage, key string, record any) (bool, error) {
	stored, err := storage.Get(ctx, key)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", key, err)
	}
	if stored == nil {
		return false, nil
	}
	if err := stored.DecodeJSON(record); err != nil {
		return false, fmt.Errorf("decoding %s: %w", key, err)
	}
	return true, nil
}

// versionError is for a record that a later version of the plugin has written.
func versionError(key string) error {
	return fmt.Errorf("%s was written by a later version of the plugin; use that version", strings.TrimSuffix(key, "/"))
}
