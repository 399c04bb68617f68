package pool

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// SessionPrefix is where the engine's own logins at the vendors are stored: seal-wrapped like the root
// credentials, and local, since two clusters that share one session would log each other out.
const SessionPrefix = "session/"

// sessionStore keeps the login of one connection. The key carries the connection's id, so that a connection
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
