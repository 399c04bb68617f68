package pool

import (
	"errors"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// maxBlocked bounds how long an error is repeated without asking again: for a rejected root credential the
// driver's own back-off decides.
const maxBlocked = time.Minute

// backoff is an error that is repeated until a time.
type backoff struct {
	refusal   *provider.Error
	at, until time.Time
}

// settings are what a connection was opened with. A config with others needs another connection. Connections with
// the same id share a login, whatever the rest.
type settings struct {
	connectionID   string
	requestTimeout time.Duration
	maxRetries     int
}

func settingsOf(entry *store.Config) settings {
	return settings{entry.ConnectionID, entry.RequestTimeout, entry.MaxRetries}
}

// Conn is an open connection with a count of the callers that use it. It is safe for concurrent use.
type Conn struct {
	provider.Connection
	settings settings
	// root identifies the root credential, and account what it belongs to.
	root, account rootKey
	// config is the name of the config.
	config string

	mu      sync.Mutex
	users   int
	retired bool
	// end closes the connection, or starts its logout, when the last user of a retired connection leaves. It does not
	// wait for the vendor.
	end func(provider.Connection)

	// backoffs holds the vendor's last refusal of each operation with a Retry-After, and blocked the last error
	// of each operation for which no request was sent.
	backoffs, blocked map[string]backoff
	// operations are the breakers of the operations: an API may answer some requests and not others.
	operations *breakers
	// hosts are the hosts that the connection has sent requests to, at most maxHosts.
	hosts map[string]struct{}

	// revoking are the times when the requests of revocations were sent that wait for an answer.
	revoking []*time.Time

	// idle is closed when the next user leaves, if a caller waits for that.
	idle chan struct{}
	// yield is closed while a caller waits for exclusive use.
	yield chan struct{}
	// authFailed is set once the vendor has rejected the root credential.
	authFailed bool
}

// Retain counts one more user, who must call Release. It reports false when the connection is retired.
func (c *Conn) Retain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired {
		return false
	}
	c.users++
	return true
}

// Release counts one user less. The last user of a retired connection closes it.
func (c *Conn) Release() {
	c.mu.Lock()
	c.users--
	if c.idle != nil {
		close(c.idle)
		c.idle = nil
	}
	last := c.retired && c.users == 0
	c.mu.Unlock()
	if last {
		c.end(c.Connection)
	}
}

// Users is how many callers use the connection at the moment.
func (c *Conn) Users() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.users
}

// retire calls end with the connection, now or when its last user leaves.
func (c *Conn) retire(end func(provider.Connection)) {
	c.mu.Lock()
	if c.retired {
		c.mu.Unlock()
		return
	}
	c.retired, c.end = true, end
	c.requestYieldLocked() // otherwise waiting requests would resume on a closed login
	unused := c.users == 0
	c.mu.Unlock()
	if unused {
		end(c.Connection)
	}
}

// backoffErr returns the vendor's last refusal of an operation while its Retry-After lasts, and nil otherwise.
func (c *Conn) backoffErr(operation string, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	backoff, ok := c.backoffs[operation]
	remaining := backoff.until.Sub(now)
	// A pause that is longer than the longest began by a clock that was ahead.
	if !ok || remaining <= 0 || remaining > maxIssueBackoff {
		delete(c.backoffs, operation)
		return nil
	}
	refusal := *backoff.refusal
	refusal.RetryAfter = remaining
	refusal.Err = provider.ErrNotSent
	return &refusal
}

// blockedErr returns the last error of an operation for which no request was sent, while its reason lasts, with the
// rest of its RetryAfter.
func (c *Conn) blockedErr(operation string, breakers *breakers, now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	blocked, ok := c.blocked[operation]
	if !ok {
		return nil
	}
	remaining := blocked.until.Sub(now)
	waits := blocked.refusal.RetryAfter > 0 && remaining > 0 && remaining <= maxBlocked
	if waits || blocked.refusal.Host != "" && breakers.open(blocked.refusal.Host) {
		refusal := *blocked.refusal
		// It is over while the breaker has opened again, and longer than before after a clock that was ahead.
		if rest := refusal.RetryAfter - now.Sub(blocked.at); rest > 0 {
			refusal.RetryAfter = min(refusal.RetryAfter, rest)
		}
		return &refusal
	}
	delete(c.blocked, operation)
	return nil
}

// observe records what the outcome of an operation means for its next calls: that the vendor has rejected the
// root credential, has asked to back off (Retry-After), or that no request was sent.
func (c *Conn) observe(operation string, err error, now time.Time) {
	c.recordAuthFailure(err)
	refusal, ok := errors.AsType[*provider.Error](err)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.blocked, operation)
	switch {
	case !ok:
	case errors.Is(err, provider.ErrNotSent):
		// A turn that did not come says nothing about the next caller. The rest lasts for a while.
		if refusal.Class == provider.ClassUnauthenticated || refusal.Host != "" {
			c.blocked[operation] = backoff{refusal, now, now.Add(min(refusal.RetryAfter, maxBlocked))}
		}
	case refusal.RetryAfter > 0 && (refusal.Class == provider.ClassRateLimited || refusal.Class == provider.ClassUnavailable):
		longest := maxBackoff
		if operation == OperationIssue {
			longest = maxIssueBackoff
		}
		c.backoffs[operation] = backoff{refusal, now, now.Add(min(refusal.RetryAfter, longest))}
	}
}

// lift ends all pauses, after the vendor has accepted a login.
func (c *Conn) lift() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.backoffs)
	clear(c.blocked)
	c.operations.resetAll()
}

// recordAuthFailure records that the vendor has rejected the root credential, if err says so.
func (c *Conn) recordAuthFailure(err error) {
	if provider.ClassOf(err) != provider.ClassUnauthenticated {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.authFailed = true
}

// TakeAuthFailure reports whether the vendor has rejected the root credential since the last call.
func (c *Conn) TakeAuthFailure() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := c.authFailed
	c.authFailed = false
	return failed
}
