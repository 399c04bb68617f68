package fortianalyzer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// minLostPause and maxLostPause bound the pause after a password grant whose answer was lost or a server error:
	// it may count towards the lockout. The pause doubles with each further one.
	minLostPause = 2 * time.Second
	maxLostPause = time.Minute
)

// accountKey identifies what one access token belongs to: an API user and an application at an OAuth server. A new
// token ends the previous one of the same key. For other applications of the OAuth server this is documented, and for
// FortiAnalyzer it is inferred.
type accountKey struct{ authAddress, username, clientID string }

// String returns the key under which the access token is stored.
func (k accountKey) String() string {
	return fmt.Sprintf("%q %q %q", k.authAddress, k.username, k.clientID)
}

// accounts are the accounts of a mount's open connections. The zero value is ready to use. It is safe for concurrent
// use.
type accounts struct {
	mu    sync.Mutex
	byKey map[accountKey]*account
}

// attach returns the connection's account, and the account's back-offs for its trust. The connection must call detach. open
// opens the account's store.
func (a *accounts) attach(key accountKey, connectionID string, trust serverTrust, open func() *tokenStore) (*account, *grantBackoffs) {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.byKey[key]
	if found == nil {
		if a.byKey == nil {
			a.byKey = map[accountKey]*account{}
		}
		found = newAccount(open())
		a.byKey[key] = found
	}
	return found, found.attach(connectionID, trust)
}

// detach ends a connection's use of an account. The last connection deletes the account from memory.
func (a *accounts) detach(key accountKey, connectionID string, trust serverTrust) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found := a.byKey[key]; found != nil && found.detach(connectionID, trust) {
		delete(a.byKey, key)
	}
}

// account holds the one access token of an API user and application, for all configs of a mount that use it. All their
// sessions are opened with this token: each password grant counts towards the lockout of the FortiCloud account.
//
// No lock is held during a call to a server. Connections that need a token share one flight. The flight runs on its own
// context, so that it continues for the others when the first caller cancels; the request timeout limits it. The logins
// at the instances are no part of the flight, so that a silent instance delays no login at another.
//
// It is safe for concurrent use.
type account struct {
	store   *tokenStore
	flights singleflight.Group

	mu       sync.Mutex
	backoffs map[serverTrust]*grantBackoffs // of the open connections
	loaded   bool                           // token and users have been read from the store
	current  *accessToken                   // nil before the first password grant
	users    []string                       // the connections, by id, that use the token, also those of before a restart
	attached map[string]int                 // the open connections, by id
	replaced time.Time                      // when the last replacement was rejected too
}

func newAccount(store *tokenStore) *account {
	return &account{store: store, attached: map[string]int{}, backoffs: map[serverTrust]*grantBackoffs{}}
}

// token returns an access token for a connection. avoid is a token that the instance has rejected, or empty.
func (a *account) token(ctx context.Context, c *connection, avoid string) (*accessToken, error) {
	failure := errNotReplaced(0)
	for range maxFlights {
		if held := a.usable(c, avoid); held != nil {
			return held, nil
		}
		flown := a.fly(ctx, c, avoid)
		switch {
		case flown.err == nil && flown.token.value != avoid:
			return flown.token, nil
		case flown.err == nil: // a flight of another caller can return the very token that must be avoided
			failure = errNotReplaced(0)
		case flown.backoffs == c.backoffs || ctx.Err() != nil:
			return nil, flown.err
		default: // the answer to a connection with another trust can be that of another server
			failure = flown.err
		}
	}
	return nil, failure
}

// maxFlights bounds how many flights of other callers a caller joins before its own.
const maxFlights = 3

// usable returns the current token, if the connection can use it without a flight.
func (a *account) usable(c *connection, avoid string) *accessToken {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.current.of(c.password) || !a.current.fresh(c.clock.Now()) || a.current.value == avoid || !a.uses(c.id) {
		return nil
	}
	return a.current
}

// flown is the result of a flight.
type flown struct {
	token    *accessToken
	err      error
	backoffs *grantBackoffs // those of the connection whose flight it was, by which trusts are compared
}

// fly starts a flight that acquires a token, or joins the running one for the same password.
func (a *account) fly(ctx context.Context, c *connection, avoid string) flown {
	// Without this check, a caller that has already canceled would start a flight that no caller waits for.
	if err := ctx.Err(); err != nil {
		return flown{err: errCanceled(err)}
	}
	flight := a.flights.DoChan(c.password, func() (any, error) {
		token, err := provider.CatchPanic(opToken, func() (*accessToken, error) {
			return a.acquire(context.WithoutCancel(ctx), c, avoid)
		})
		return flown{token, err, c.backoffs}, nil
	})
	select {
	case result := <-flight:
		done, _ := result.Val.(flown) // a flight returns nothing else
		return done
	case <-ctx.Done():
		return flown{err: errCanceled(ctx.Err())}
	}
}

// acquire is the flight. It returns the current token, refreshes it, or makes a password grant.
func (a *account) acquire(ctx context.Context, c *connection, avoid string) (*accessToken, error) {
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	held := a.held()
	if !held.of(c.password) {
		return a.sendPassword(ctx, c, held)
	}
	if held.fresh(c.clock.Now()) && held.value != avoid {
		a.register(ctx, c)
		return held, nil
	}
	if err := c.backoffs.limited.Err(c.clock.Now()); err != nil {
		return nil, err
	}
	rejected := held.rejected
	if avoid != "" && held.value == avoid {
		if err := a.checkReplaceable(ctx, c, held); err != nil {
			return nil, err
		}
		rejected = true
	}
	if held.refreshToken == "" {
		return a.sendPassword(ctx, c, held.ended(rejected))
	}
	refreshed, err := c.api.refreshGrant(ctx, held.refreshToken)
	switch provider.ClassOf(err) {
	case provider.ClassUnauthenticated, provider.ClassForbidden:
		c.logger.Debug("the OAuth server refused to refresh the access token; the next one needs the password")
		held = held.ended(rejected)
		a.put(ctx, c, held)
		return a.sendPassword(ctx, c, held)
	default:
		if err != nil {
			return nil, a.observeLimit(c, err)
		}
	}
	if refreshed.refreshToken == "" {
		refreshed.refreshToken = held.refreshToken
	}
	refreshed.password, refreshed.replacedAt = held.password, held.replacedAt
	a.put(ctx, c, refreshed)
	return refreshed, nil
}

// sendPassword makes a password grant, unless a back-off forbids it. held is the token that it replaces, or nil.
func (a *account) sendPassword(ctx context.Context, c *connection, held *accessToken) (*accessToken, error) {
	now := c.clock.Now()
	worked := held.of(c.password)
	if rest := held.passwordRest(now); worked && rest > 0 {
		return nil, errNotReplaced(rest)
	}
	for _, backoff := range []*provider.AuthBackoff{c.rejectedPassword, &c.backoffs.limited, &c.backoffs.lost} {
		if err := backoff.Err(now); err != nil {
			return nil, err
		}
	}
	granted, err := c.api.passwordGrant(ctx)
	if err != nil {
		return nil, a.observeGrant(c, err, worked)
	}
	c.rejectedPassword.Reset()
	c.backoffs.lost.Reset()
	granted.password = c.password
	if worked {
		granted.replacedAt = held.replacedAt
		if held.rejected {
			granted.replacedAt = granted.obtainedAt
		}
	}
	a.forgetUsers()
	a.put(ctx, c, granted)
	return granted, nil
}

// observeGrant remembers the error of a password grant, so that the callers behind it do not send the password too.
// worked is true if the password has worked before.
func (a *account) observeGrant(c *connection, err error, worked bool) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok || errors.Is(err, provider.ErrNotSent) {
		return err
	}
	now := c.clock.Now()
	switch failure.Class {
	case provider.ClassUnauthenticated, provider.ClassForbidden:
		if worked {
			failure.Message += "; this password has worked before"
			failure.Remedy = remedyLockout(c.api.config)
		}
		c.rejectedPassword.Observe(failure, now)
	case provider.ClassRateLimited:
		return a.observeLimit(c, err)
	case provider.ClassUnavailable:
		// The server may have counted it as a login, unless no connection was made.
		if httpclient.StatusOf(err) != 0 || errors.Is(err, errIndeterminate) {
			c.backoffs.lost.Observe(failure, now)
		}
	default:
	}
	return failure
}

// observeLimit remembers a 429 of the OAuth server.
func (a *account) observeLimit(c *connection, err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if ok && failure.Class == provider.ClassRateLimited && !errors.Is(err, provider.ErrNotSent) {
		failure.RetryAfter = max(failure.RetryAfter, defaultLimitPause)
		c.backoffs.limited.Hold(failure, c.clock.Now())
	}
	return err
}

// checkReplaceable returns nil if a token that the instance has rejected must be replaced. The instance rejects logins
// for other reasons with the same answer, so the OAuth server is asked.
func (a *account) checkReplaceable(ctx context.Context, c *connection, rejected *accessToken) error {
	now := c.clock.Now()
	a.mu.Lock()
	rest := a.replaced.Add(minReplaceInterval).Sub(now)
	a.mu.Unlock()
	if rest > 0 && rest <= minReplaceInterval {
		return errNotReplaced(rest)
	}
	state, err := c.api.verifyToken(ctx, rejected.value)
	switch {
	case err != nil, state == tokenLive, state == tokenUnknown && now.Sub(rejected.obtainedAt) < minTokenAge:
		return errNotReplaced(0)
	}
	return nil
}

// observeRejection records that the instance has also rejected the token that replaced a rejected one.
func (a *account) observeRejection(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replaced = now
}

func (a *account) held() *accessToken {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.current
}
