package provider

import (
	"context"
	"time"
)

// RequestGuard decides whether and when a request may be sent to a host. The engine supplies one for each
// connection, and package httpclient asks it, so that drivers need not. It keeps failures apart: a host that
// does not answer stops the requests to that host only, and a rate limit applies to one root credential.
// Implementations are safe for concurrent use.
type RequestGuard interface {
	// Admit reports whether requests to host ("name:port") may be sent now. If not, the error has [ErrNotSent]
	// in its chain. Otherwise the caller must call done once: with nil if the host answered, whatever the
	// answer was, or with the error.
	Admit(ctx context.Context, host string) (done func(err error), err error)

	// Pace waits until one more request fits into the rate limit of the root credential. It is called before
	// each attempt, and before Admit, since the host may have failed during the wait. It does not wait while
	// requests to host are refused. A caller whose context ends gives its place back. The error has [ErrNotSent]
	// in its chain.
	Pace(ctx context.Context, host string) error
}

// AuthMemory keeps what is known of rejected root credentials for as long as the mount is loaded, across
// connections. Implementations are safe for concurrent use.
type AuthMemory interface {
	// Backoff returns the back-off of the connection's root credential. Connections with the same root
	// credential get the same one. initial and limit are those of [AuthBackoff] when it is created.
	Backoff(initial, limit time.Duration) *AuthBackoff
}

// AuthBackoff returns the back-off of the connection's root credential: the one that the engine keeps, or a new
// one when there is no AuthMemory. A driver asks it before it sends the root credential, and reports each
// rejection. Calls that do not need the root credential ignore it.
func (c Config) AuthBackoff(initial, limit time.Duration) *AuthBackoff {
	if c.Auth != nil {
		return c.Auth.Backoff(initial, limit)
	}
	return &AuthBackoff{Initial: initial, Max: limit}
}
