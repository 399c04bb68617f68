package pool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// breakerThreshold is how many requests in a row a host may leave without an answer before its breaker
	// opens.
	breakerThreshold = 3

	// DefaultBreakerPause is how long an open breaker waits before it lets one request through.
	DefaultBreakerPause = 15 * time.Second

	// maxBreakers bounds how many breakers are kept: operators can write configs with any number of hosts.
	maxBreakers = 1_000
)

// breaker is a circuit breaker of gobreaker's, for which the caller reports the outcome.
type breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// breakers are circuit breakers by name: those of all hosts of a mount, or those of a connection's operations.
// They make an outage cost a few timeouts, and not one for every lease that ends during it. Any answer, also a
// refusal, closes the breaker. It is safe for concurrent use.
type breakers struct {
	pause time.Duration
	// refusal returns the error for what an open breaker stops.
	refusal func(name string, pause time.Duration) error

	mu     sync.Mutex
	byName map[string]*breaker
}

// newHostBreakers returns breakers whose names are hosts.
func newHostBreakers(pause time.Duration) *breakers {
	return &breakers{pause: pause, byName: make(map[string]*breaker), refusal: errHostOpen}
}

// newOperationBreakers returns breakers whose names are operations.
func newOperationBreakers(pause time.Duration) *breakers {
	refusal := func(operation string, pause time.Duration) error { return errOpen("operation "+operation, pause) }
	return &breakers{pause: pause, byName: make(map[string]*breaker), refusal: refusal}
}

func (b *breakers) get(name string) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.byName[name]
	if !ok {
		if len(b.byName) >= maxBreakers {
			b.forgetIdle()
		}
		found = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:      b.pause,
			ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakerThreshold },
			IsSuccessful: func(err error) bool { return !Unanswered(err) },
			IsExcluded:   isLocal,
		})
		b.byName[name] = found
	}
	return found
}

// forgetIdle drops the breakers that a new one could replace. If all are in use, it drops some that are: their hosts
// cost a few timeouts more. The lock is held.
func (b *breakers) forgetIdle() {
	maps.DeleteFunc(b.byName, func(_ string, idle *breaker) bool {
		return idle.State() == gobreaker.StateClosed && idle.Counts().ConsecutiveFailures == 0
	})
	for name := range b.byName {
		if len(b.byName) < maxBreakers {
			return
		}
		delete(b.byName, name)
	}
}

// isLocal reports whether err says nothing about the vendor: the caller gave up before the vendor can be blamed,
// nothing was sent, or the engine itself failed.
func isLocal(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, provider.ErrNotSent) {
		return true
	}
	failure, classified := errors.AsType[*provider.Error](err)
	_, panicked := errors.AsType[*provider.PanicError](err)
	return !classified || panicked || failure.Host == "" && errors.Is(err, context.DeadlineExceeded)
}

// Unanswered reports whether err means that a host did not answer. An answer with a server error is an answer:
// it may concern one credential only.
func Unanswered(err error) bool {
	failure, ok := errors.AsType[*provider.Error](err)
	return ok && failure.Host != "" && (failure.Class == provider.ClassUnavailable || failure.Class == provider.ClassAmbiguous)
}

// err returns the error for what a breaker stops at this moment, or nil.
func (b *breakers) err(name string) error {
	if b.open(name) {
		return b.refusal(name, b.pause)
	}
	return nil
}

// open reports whether a breaker lets no request through at this moment.
func (b *breakers) open(name string) bool {
	b.mu.Lock()
	found := b.byName[name]
	b.mu.Unlock()
	return found != nil && found.State() == gobreaker.StateOpen
}

// reset closes a breaker, after an answer.
func (b *breakers) reset(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byName, name)
}

// resetAll closes all breakers.
func (b *breakers) resetAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.byName)
}

// admit asks a breaker. If the error is nil, the caller must call done with the outcome.
func (b *breakers) admit(ctx context.Context, name string) (done func(error), err error) {
	if isProbe(ctx) {
		// An operator asks how the host is at this moment. A success lifts what the breaker knows.
		return func(err error) {
			if err == nil {
				b.reset(name)
			}
		}, nil
	}
	done, err = b.get(name).Allow()
	if err != nil {
		return nil, b.refusal(name, b.pause)
	}
	return done, nil
}

// errHostOpen is errOpen for the breaker of a host.
func errHostOpen(host string, pause time.Duration) error {
	failure := errOpen(host, pause)
	failure.Host = host
	return failure
}

// errOpen is the error for a call that an open breaker stops.
func errOpen(name string, pause time.Duration) *provider.Error {
	return &provider.Error{
		Class:   provider.ClassUnavailable,
		Message: fmt.Sprintf("circuit breaker open: no answer to the last %d requests (%s); retrying after %s", breakerThreshold, name, pause),
		Remedy:  "see what config/<name>/check returns",
		Err:     provider.ErrNotSent,
	}
}
