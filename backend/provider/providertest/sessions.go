package providertest

import (
	"bytes"
	"context"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

var _ provider.SessionStore = (*Sessions)(nil)

// Sessions is a [provider.SessionStore] in memory. The zero value is empty and ready to use. It is safe for concurrent
// use.
type Sessions struct {
	mu    sync.Mutex
	saved []byte
	loads int
	saves int
	fail  error
}

// Load implements provider.SessionStore.
func (s *Sessions) Load(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if s.fail != nil {
		return nil, s.fail
	}
	return bytes.Clone(s.saved), nil
}

// Save implements provider.SessionStore.
func (s *Sessions) Save(ctx context.Context, session []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	if s.fail != nil {
		return s.fail
	}
	s.saved = bytes.Clone(session)
	return nil
}

// Saved returns the stored content, or nil.
func (s *Sessions) Saved() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.saved)
}

// Put replaces the stored content, as an earlier connection does.
func (s *Sessions) Put(session []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = bytes.Clone(session)
}

// Calls returns how many times the store was read and written.
func (s *Sessions) Calls() (loads, saves int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads, s.saves
}

// Fail makes every later call fail with err. If err is nil, later calls succeed again.
func (s *Sessions) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}
