package lease

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// sharedCredential is a credential that several leases hold, as it is in memory.
type sharedCredential struct {
	shareKey string
	entryID  string
	issuedAt time.Time
	// expiresAt is the vendor's end, and maxExpiresAt the last moment to which renewals may move it.
	expiresAt, maxExpiresAt time.Time
	payload                 sharedPayload
}

// sharedPayload is what each reader gets. It is stored with the ledger entry, so that later readers get it
// too, also after a restart.
type sharedPayload struct {
	Token     string         `json:"token"`
	TokenType string         `json:"token_type"`
	Address   string         `json:"address"`
	Data      map[string]any `json:"data,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
}

// remaining is how long the credential can still serve a lease.
func (s *sharedCredential) remaining(now time.Time) time.Duration { return s.maxExpiresAt.Sub(now) }

// canServe reports whether a new lease of the given TTL fits into the credential's life. A credential that was
// issued for less than the TTL, since not every vendor lets the caller choose, serves for half its life.
func (s *sharedCredential) canServe(ttl time.Duration, now time.Time) bool {
	need := ttl
	if life := s.maxExpiresAt.Sub(s.issuedAt); life <= ttl {
		need = life / 2
	}
	return s.remaining(now) >= need
}

// credential is what one reader gets.
func (s *sharedCredential) credential() *provider.Credential {
	return &provider.Credential{
		Token: s.payload.Token, TokenType: s.payload.TokenType, Address: s.payload.Address,
		Data: s.payload.Data, Warnings: s.payload.Warnings, ExpiresAt: s.expiresAt,
	}
}

// encodeShared is what a ledger entry keeps of a shared credential for later readers.
func encodeShared(credential *provider.Credential) (json.RawMessage, error) {
	encoded, err := json.Marshal(sharedPayload{
		Token: credential.Token, TokenType: credential.TokenType, Address: credential.Address,
		Data: credential.Data, Warnings: credential.Warnings,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the shared credential: %w", err)
	}
	return encoded, nil
}

// decodeShared reads a shared credential from its ledger entry.
func decodeShared(entry *ledger.Entry) (*sharedCredential, error) {
	shared := &sharedCredential{
		shareKey: entry.ShareKey, entryID: entry.ID, issuedAt: entry.CreatedAt,
		expiresAt: entry.ExpiresAt, maxExpiresAt: entry.MaxExpiresAt,
	}
	if err := json.Unmarshal(entry.Shared, &shared.payload); err != nil {
		return nil, fmt.Errorf("decoding the shared credential %s: %w", entry.ID, err)
	}
	return shared, nil
}

// sharedSet keeps the credential that the readers of each role share at the moment. A credential whose role
// was changed or deleted, or that has become too short, is replaced here and drains: it lives on until its
// last holder leaves.
type sharedSet struct {
	flights singleflight.Group

	mu     sync.Mutex
	byRole map[string]*sharedCredential
}

func (s *sharedSet) get(role, shareKey string) *sharedCredential {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.byRole[role]
	if current == nil || current.shareKey != shareKey {
		return nil
	}
	return current
}

func (s *sharedSet) set(role string, current *sharedCredential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byRole[role] = current
}

// forget drops a role's credential, or, when an entry is named, only if it is that one.
func (s *sharedSet) forget(role, entryID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if current := s.byRole[role]; current != nil && (entryID == "" || current.entryID == entryID) {
		delete(s.byRole, role)
	}
}

// forgetEntry drops a credential that has ended, for every role.
func (s *sharedSet) forgetEntry(entryID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for role, current := range s.byRole {
		if current.entryID == entryID {
			delete(s.byRole, role)
		}
	}
}
