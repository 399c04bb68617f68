package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// breakerThreshold is how many calls in a row may fail without an answer before the breaker opens.
	breakerThreshold = 3

	// DefaultBreakerPause is how long an open breaker waits before it lets one call through.
	DefaultBreakerPause = 15 * time.Second
)

// Names of operations at a vendor, as they appear in metrics.
const (
	OperationIssue  = "issue"
	OperationRenew  = "renew"
	OperationRevoke = "revoke"
	OperationCheck  = "check"
	OperationList   = "list"
	OperationRotate = "rotate"
)

// ErrNotSent is in the chain of an error for a call that was not made.
var ErrNotSent = errors.New("no request was sent to the vendor")

// newBreaker makes the circuit breaker of one connection: a vendor that does not answer costs a few timeouts,
// and not one for every lease that ends during the outage. A refusal is an answer.
func newBreaker(pause time.Duration) *gobreaker.CircuitBreaker[struct{}] {
	return gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:     pause,
		ReadyToTrip: func(counts gobreaker.Counts) bool { return counts.ConsecutiveFailures >= breakerThreshold },
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

// Call makes a call on behalf of a credential. Every such call goes through it. It refuses with ErrNotSent in
// the chain while the vendor's Retry-After lasts or the circuit breaker is open, turns a panic of the driver
// into an error, and counts the call.
func (p *Pool) Call(conn *Conn, vendor, operation string, call func() error) error {
	if err := conn.BackoffErr(p.options.Clock.Now()); err != nil {
		p.Metrics.CountRejection(vendor, operation, provider.ClassOf(err))
		return err
	}
	_, err := conn.breaker.Execute(func() (struct{}, error) {
		began := p.options.Clock.Now()
		_, err := provider.CatchPanic(vendor+": "+operation, func() (struct{}, error) { return struct{}{}, call() })
		p.Metrics.ObserveCall(vendor, operation, p.options.Clock.Now().Sub(began), err)
		return struct{}{}, err
	})
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		err = &provider.Error{
			Class: provider.ClassUnavailable, Op: vendor + ": " + operation,
			Message: fmt.Sprintf("circuit breaker open: the vendor did not answer the last %d calls; retrying after %s", breakerThreshold, p.options.BreakerPause),
			Remedy:  "see what config/<name>/check returns", Err: ErrNotSent,
		}
		p.Metrics.CountRejection(vendor, operation, provider.ClassUnavailable)
		return err
	}
	if panicked, ok := errors.AsType[*provider.PanicError](err); ok {
		p.options.Logger().Error("a driver panicked", "vendor", vendor, "operation", operation, "reason", panicked.Reason, "stack", string(panicked.Stack))
	}
	conn.Observe(err, p.options.Clock.Now())
	return err
}

// Check makes a real login with a config's root credential. The circuit breaker does not apply: the caller
// wants to know how the vendor is at this moment.
func (p *Pool) Check(ctx context.Context, conn *Conn, vendor string) (*provider.CheckResult, error) {
	began := p.options.Clock.Now()
	checked, err := VerifyRoot(ctx, vendor, conn)
	p.Metrics.ObserveCall(vendor, OperationCheck, p.options.Clock.Now().Sub(began), err)
	conn.Observe(err, p.options.Clock.Now())
	return checked, err
}
