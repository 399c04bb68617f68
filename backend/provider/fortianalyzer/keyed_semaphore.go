package fortianalyzer

import (
	"context"
	"errors"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// probeKey identifies the probes that must run one at a time: those of one API user at one instance. A silent instance
// delays no probe at another.
type probeKey struct {
	instance string
	account  accountKey
}

// keyedSemaphore admits one caller at a time for each key. A waiting caller waits no longer than its context. The zero
// value is ready to use. It is safe for concurrent use.
type keyedSemaphore struct {
	mu    sync.Mutex
	byKey map[probeKey]*semaphore
}

// semaphore admits one caller.
type semaphore struct {
	slot  chan struct{} // capacity 1
	users int           // callers that hold the slot or wait for it; guarded by keyedSemaphore.mu
}

// acquire waits until no other caller holds the semaphore of the key, and returns the function that releases it. When
// ctx ends first, the error is ClassUnavailable.
func (s *keyedSemaphore) acquire(ctx context.Context, key probeKey) (release func(), err error) {
	acquired := s.addUser(key)
	select {
	case acquired.slot <- struct{}{}:
		return func() {
			<-acquired.slot
			s.removeUser(key, acquired)
		}, nil
	case <-ctx.Done():
		s.removeUser(key, acquired)
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opLogin,
			Message: "nothing was sent: the request was canceled or timed out while it waited for another check or revocation at the instance",
			Err:     errors.Join(provider.ErrNotSent, ctx.Err()),
		}
	}
}

// addUser returns the semaphore of a key and counts the caller as its user.
func (s *keyedSemaphore) addUser(key probeKey) *semaphore {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = map[probeKey]*semaphore{}
	}
	found := s.byKey[key]
	if found == nil {
		found = &semaphore{slot: make(chan struct{}, 1)}
		s.byKey[key] = found
	}
	found.users++
	return found
}

// removeUser ends one use of a semaphore. The last user deletes it, so that the map does not grow with every key that
// was ever used.
func (s *keyedSemaphore) removeUser(key probeKey, used *semaphore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	used.users--
	if used.users == 0 {
		delete(s.byKey, key)
	}
}
