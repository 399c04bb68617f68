package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
)

// requestDeadline is longer than any request of Vault lasts (90 seconds). No request works on an intent that
// is older.
var requestDeadline = failpoint.Wait(2*time.Minute, 2*time.Second)

// RootIntent is a root credential that may exist at the vendor without being stored here: the process that
// created it may have died, or the vendor's answer may have been lost. The login that creates root
// credentials is not kept, so an intent waits until a config of that name has a root credential that can
// revoke the orphan.
type RootIntent struct {
	// Marker names the root credential at the vendor.
	Marker string `json:"marker"`
	// At is when the intent was stored.
	At time.Time `json:"at"`
	// Replaced is true for the root credential that the config has while a write replaces it. It is revoked after the
	// write.
	Replaced bool `json:"replaced,omitempty"`
}

// InProgress reports whether a request may still be creating the root credential, or replacing it.
func (i RootIntent) InProgress(now time.Time) bool { return now.Before(i.At.Add(requestDeadline)) }

// rootIntentsRecord holds the intents of one config.
type rootIntentsRecord struct {
	Intents []RootIntent `json:"intents"`
}

// RootIntents returns the intents of a config, oldest first.
func (s *Store) RootIntents(ctx context.Context, storage logical.Storage, config string) ([]RootIntent, error) {
	var record rootIntentsRecord
	_, err := read(ctx, storage, RootIntentPrefix+config, &record)
	return record.Intents, err
}

// RootIntentConfigs lists the names of the configs that have intents.
func (s *Store) RootIntentConfigs(ctx context.Context, storage logical.Storage) ([]string, error) {
	names, err := storage.List(ctx, RootIntentPrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the intents of root credentials: %w", err)
	}
	return names, nil
}

// PutRootIntent stores the intent of a root credential before the vendor is asked to create it.
func (s *Store) PutRootIntent(ctx context.Context, storage logical.Storage, config string, intent RootIntent) error {
	return s.changeRootIntents(ctx, storage, config, func(intents []RootIntent) []RootIntent { return append(intents, intent) })
}

// ClearRootIntent deletes the intent with this marker.
func (s *Store) ClearRootIntent(ctx context.Context, storage logical.Storage, config, marker string) error {
	return s.changeRootIntents(ctx, storage, config, func(intents []RootIntent) []RootIntent {
		return slices.DeleteFunc(intents, func(other RootIntent) bool { return other.Marker == marker })
	})
}

func (s *Store) changeRootIntents(ctx context.Context, storage logical.Storage, config string, change func([]RootIntent) []RootIntent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := RootIntentPrefix + config
	intents, err := s.RootIntents(ctx, storage, config)
	if err != nil {
		return err
	}
	intents = change(intents)
	if len(intents) == 0 {
		if err := storage.Delete(ctx, key); err != nil {
			return fmt.Errorf("deleting %s: %w", key, err)
		}
		return nil
	}
	stored, err := logical.StorageEntryJSON(key, rootIntentsRecord{Intents: intents})
	if err == nil {
		err = storage.Put(ctx, stored)
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	return nil
}
