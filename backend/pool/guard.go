package pool

import (
	"context"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// guard is what one connection's requests pass: the breaker of the host, and the rate limit of the root
// credential.
type guard struct {
	breakers *breakers
	// pacer returns the pacer of the root credential. It is looked up for each request: one that is idle, and of no stored
	// config, makes room for others.
	pacer func() *pacer
	// observeWait records how long a request waited for its turn.
	observeWait func(time.Duration)
}

// Admit implements provider.RequestGuard.
func (g *guard) Admit(ctx context.Context, host string) (done func(error), err error) {
	conn, ok := ctx.Value(contextConn).(*Conn)
	if ok {
		conn.addHost(host)
	}
	admitted, err := g.breakers.admit(ctx, host)
	if err != nil || !ok || priorityOf(ctx) != priorityRevoke {
		return admitted, err
	}
	end := conn.beginRevoking()
	return func(err error) {
		end()
		admitted(err)
	}, nil
}

// Pace implements provider.RequestGuard.
func (g *guard) Pace(ctx context.Context, host string) error {
	if err := g.breakers.err(host); err != nil && !isProbe(ctx) {
		return err
	}
	pacer := g.pacer()
	began := pacer.clock.Now()
	err := pacer.wait(ctx, priorityOf(ctx))
	g.observeWait(max(0, pacer.clock.Now().Sub(began)))
	return err
}

// rootMemory implements provider.AuthMemory for one root credential.
type rootMemory struct {
	memory *authMemory
	key    rootKey
	config string
}

// Backoff implements provider.AuthMemory.
func (r rootMemory) Backoff(initial, limit time.Duration) *provider.AuthBackoff {
	return r.memory.backoff(r.key, initial, limit).For(r.config)
}

type contextKey int

const (
	contextPriority contextKey = iota
	contextProbe
	contextConn
	contextUrgency
)

// withOperation marks the requests of an operation with its priority.
func withOperation(ctx context.Context, operation string) context.Context {
	order := priorityIssue
	switch operation {
	case OperationRevoke:
		order = priorityRevoke
	case OperationRenew:
		order = priorityRenew
	}
	return context.WithValue(ctx, contextPriority, order)
}

// withConn marks the requests of a call with the connection that makes it.
func withConn(ctx context.Context, conn *Conn) context.Context {
	return context.WithValue(ctx, contextConn, conn)
}

func priorityOf(ctx context.Context) priority {
	if order, ok := ctx.Value(contextPriority).(priority); ok {
		return order
	}
	return priorityIssue
}

// WithProbe returns a context for calls that an operator asks for: they ask the vendor although a breaker is
// open or a Retry-After lasts, and their success lifts both. A rejected root credential is not sent again.
func WithProbe(ctx context.Context) context.Context {
	return context.WithValue(ctx, contextProbe, true)
}

// CopyProbe returns ctx with the mark of WithProbe if other has it. It is for work that outlives the request that asked.
func CopyProbe(ctx, other context.Context) context.Context {
	if isProbe(other) {
		return WithProbe(ctx)
	}
	return ctx
}

func isProbe(ctx context.Context) bool {
	probe, _ := ctx.Value(contextProbe).(bool)
	return probe
}
