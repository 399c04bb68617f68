package pool

import (
	"context"
	"errors"
	"fmt"
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
)

// breaker is a circuit breaker of gobreaker's, for which the caller reports the outcome.
type breaker = gobreaker.TwoStepCircuitBreaker[struct{}]

// breakers are circuit breakers by name: those of all hosts of a mount, or those of a connection's operations.
// They make an outage cost a few timeouts, and not one for every lease that ends during it. Any answer, also a
// refusal, closes the breaker. It is safe for concurrent use.
type breakers struct {
	pause time.Duration

	mu     sync.Mutex
	byName map[string]*breaker
}

func newBreakers(pause time.Duration) *breakers {
	return &breakers{pause: pause, byName: make(map[string]*breaker)}
}

func (b *breakers) get(name string) *breaker {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.byName[name]
	if !ok {
		found = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:      b.pause,
			ReadyToTrip:  func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakerThreshold },
			IsSuccessful: func(err error) bool { return !Unanswered(err) },
			// A caller that gave up, and a request that was not sent, say nothing about the vendor.
			IsExcluded: func(err error) bool {
				return errors.Is(err, context.Canceled) || errors.Is(err, provider.ErrNotSent)
			},
		})
		b.byName[name] = found
	}
	return found
}

// Unanswered reports whether err means that a host did not answer. An answer with a server error is an answer:
// it may concern one credential only.
func Unanswered(err error) bool {
	failure, ok := errors.AsType[*provider.Error](err)
	return ok && failure.Host != "" && (failure.Class == provider.ClassUnavailable || failure.Class == provider.ClassAmbiguous)
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
		return nil, errOpen(name, b.pause)
	}
	return done, nil
}

// errOpen is the error for a request that an open breaker stops.
func errOpen(name string, pause time.Duration) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Host: name,
		Message: fmt.Sprintf("circuit breaker open: no answer to the last %d requests (%s); retrying after %s", breakerThreshold, name, pause),
		Remedy:  "see what config/<name>/check returns", Err: provider.ErrNotSent,
	}
}
