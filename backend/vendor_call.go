package backend

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// breakerTrips is how many calls in a row a vendor may leave without an answer before it is left alone.
	breakerTrips = 3

	// breakerPause is for how long. Then one call tries whether it is back.
	breakerPause = 15 * time.Second
)

// Names of operations at a vendor, as they stand in metrics.
const (
	operationIssue  = "issue"
	operationRenew  = "renew"
	operationRevoke = "revoke"
	operationCheck  = "check"
	operationList   = "find"
	operationRotate = "rotate"
)

// errNotSent is in the chain of an error that stands for a call that was not made.
var errNotSent = errors.New("the vendor was not asked")

// newBreaker makes the circuit breaker of one connection: a vendor that does not answer costs a few timeouts,
// and not one for every lease that ends in the meantime. A refusal is an answer.
func newBreaker(pause time.Duration) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     pause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakerTrips },
		IsSuccessful: func(err error) bool {
			switch provider.ClassOf(err) {
			case provider.ClassUnavailable, provider.ClassAmbiguous:
				return false
			default:
				return true
			}
		},
		// A caller that gave up says nothing about the vendor.
		IsExcluded: func(err error) bool { return errors.Is(err, context.Canceled) },
	})
}

// callVendor is the way of every call on behalf of a credential: not while the vendor wishes to be left alone,
// not while it does not answer, contained if the driver panics, and counted.
func (b *backend) callVendor(conn *connection, vendor, operation string, call func() error) error {
	if err := conn.backoffErr(b.clock.Now()); err != nil {
		b.metrics.countRejection(vendor, operation, err)
		return err
	}
	_, err := conn.breaker.Execute(func() (struct{}, error) {
		began := b.clock.Now()
		_, err := provider.CatchPanic(vendor+": "+operation, func() (struct{}, error) { return struct{}{}, call() })
		b.metrics.observeCall(vendor, operation, b.clock.Now().Sub(began), err)
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = &provider.Error{
			Class: provider.ClassUnavailable, Op: vendor + ": " + operation,
			Message: "the vendor has not answered the last calls and is left alone for a moment",
			Remedy:  "see what config/<name>/check says", Err: errNotSent,
		}
		b.metrics.countRejection(vendor, operation, err)
		return err
	}
	if panicked, ok := errors.AsType[*provider.PanicError](err); ok {
		b.Logger().Error("a driver panicked", "vendor", vendor, "operation", operation, "reason", panicked.Reason, "stack", string(panicked.Stack))
	}
	conn.observe(err, b.clock.Now())
	return err
}
