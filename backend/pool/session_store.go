package pool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// SessionPrefix is where the engine's own logins at the vendors are stored: seal-wrapped like the root
// credentials, and local, since two clusters that share one session would log each other out.
const SessionPrefix = "session/"

// SharedSessionPrefix is where logins are stored that several configs share: like SessionPrefix, and not below it,
// since every name can be that of a config.
const SharedSessionPrefix = "shared-session/"

// newSharedStore returns the store of a login that several configs of a vendor share. The key is a digest, since
// Vault does not encrypt keys.
func newSharedStore(storage logical.Storage, vendor, key string) *sessionStore {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q", vendor, key))
	return &sessionStore{storage: storage, key: SharedSessionPrefix + hex.EncodeToString(digest[:])}
}

// sessionStore keeps one login. The key of a connection's login carries the connection's id, so that a connection
// that is closing cannot delete the login of its successor.
type sessionStore struct {
	storage logical.Storage
	key     string
}

func newSessionStore(storage logical.Storage, config, connectionID string) *sessionStore {
	return &sessionStore{storage: storage, key: SessionPrefix + config + "/" + connectionID}
}

// Load implements provider.SessionStore.
func (s *sessionStore) Load(ctx context.Context) ([]byte, error) {
	entry, err := s.storage.Get(ctx, s.key)
	if err != nil {
		return nil, fmt.Errorf("reading the stored session: %w", err)
	}
	if entry == nil {
		return nil, nil
	}
	return entry.Value, nil
}

// Save implements provider.SessionStore.
func (s *sessionStore) Save(ctx context.Context, session []byte) error {
	if session == nil {
		if err := s.storage.Delete(ctx, s.key); err != nil {
			return fmt.Errorf("deleting the stored session: %w", err)
		}
		return nil
	}
	if err := s.storage.Put(ctx, &logical.StorageEntry{Key: s.key, Value: session, SealWrap: true}); err != nil {
		return fmt.Errorf("storing the session: %w", err)
	}
	return nil
}
