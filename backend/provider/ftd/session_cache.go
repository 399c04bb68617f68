package ftd

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// sessionCache holds the one login that a connection has at its device. All callers share it, because the device
// allows five sessions and silently ends the oldest for a sixth.
//
// No lock is held during a call to the device. Callers that need a login share one flight. The flight runs on its
// own context, so that it continues for the other callers when the first caller cancels. The request timeout limits
// each exchange of a flight.
//
// A sessionCache is safe for concurrent use.
type sessionCache struct {
	api   *client
	store sessionStore
	// predecessor is the store of the connection that this one replaces. Its session is used once, in place of another
	// login.
	predecessor sessionStore
	clock       provider.Clock
	logger      hclog.Logger
	// countActive is [provider.Config.CountActive].
	countActive func(context.Context) (int, error)

	flights singleflight.Group

	mu        sync.Mutex
	loaded    bool // current has been read from the store
	inherited bool // the predecessor's session has been used
	current   *session
	listing   tokenListing
	closed    bool

	refusedLogins *provider.AuthBackoff // logins that the device refused
	lostLogins    provider.AuthBackoff  // logins whose answer was lost
}

// flightResult is the result of a flight.
type flightResult struct {
	session *session
	isNew   bool // the flight made a password login
}

// get returns a session whose access token can be used. isNew reports whether a password login was made for it.
func (c *sessionCache) get(ctx context.Context) (held *session, isNew bool, err error) {
	c.mu.Lock()
	held = c.current
	c.mu.Unlock()
	if held != nil && held.fresh(c.clock.Now()) {
		return held, false, nil
	}
	result, err := c.singleflight(ctx, c.acquire)
	return result.session, result.isNew, err
}

// login makes a password login, even if there is a session. The existing session ends, before or after the login; see
// replace.
func (c *sessionCache) login(ctx context.Context) (*session, error) {
	for {
		result, err := c.singleflight(ctx, c.replace)
		// The flight may be that of another caller, which found or refreshed a session.
		if err != nil || result.isNew {
			return result.session, err
		}
	}
}

// singleflight starts a flight that runs work, or joins the running flight. It returns when the flight or ctx ends.
func (c *sessionCache) singleflight(ctx context.Context, work func(context.Context) (flightResult, error)) (flightResult, error) {
	// Without this check, a caller that has already canceled would start a login that no caller waits for.
	if err := ctx.Err(); err != nil {
		return flightResult{}, errCanceled(err)
	}
	flight := c.flights.DoChan("session", func() (any, error) {
		return provider.CatchPanic(opLogin, func() (flightResult, error) { return work(context.WithoutCancel(ctx)) })
	})
	select {
	case result := <-flight:
		return result.Val.(flightResult), result.Err
	case <-ctx.Done():
		return flightResult{}, errCanceled(ctx.Err())
	}
}

// errCanceled is the error for a caller whose context ended while it waited for a flight.
func errCanceled(cause error) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opLogin,
		Message: "the caller's context ended before the login at the device was complete", Err: errors.Join(provider.ErrNotSent, cause),
	}
}

// acquire is the flight of get. It returns the current session or that of the predecessor, refreshes it, or makes a
// password login.
func (c *sessionCache) acquire(ctx context.Context) (flightResult, error) {
	held, inherited, err := c.loadAny(ctx)
	if err != nil {
		return flightResult{}, err
	}
	if held != nil && held.fresh(c.clock.Now()) {
		if inherited {
			c.put(ctx, held)
		}
		return flightResult{session: held}, nil
	}
	if held != nil && held.refreshable(c.clock.Now()) {
		refreshed, err := c.api.refresh(ctx, held.refreshToken)
		if err == nil {
			c.put(ctx, refreshed)
			return flightResult{session: refreshed}, nil
		}
		if !refused(err) && !isTimeoutStatus(err) {
			return flightResult{}, asUnavailable(err)
		}
		c.logger.Debug("the device refused to refresh the login; the engine logs in again")
	}
	return c.passwordLogin(ctx)
}

// passwordLogin makes one password login and keeps its session.
func (c *sessionCache) passwordLogin(ctx context.Context) (flightResult, error) {
	if err := c.checkLoginAllowed(); err != nil {
		return flightResult{}, err
	}
	opened, err := c.api.login(ctx)
	if err != nil {
		return flightResult{}, c.observeLoginError(err)
	}
	c.refusedLogins.Reset()
	c.lostLogins.Reset()
	c.put(ctx, opened)
	return flightResult{session: opened, isNew: true}, nil
}

// load returns the current session, or nil when there is none. Its first call reads the store. It is called within a
// flight.
func (c *sessionCache) load(ctx context.Context) (*session, error) {
	c.mu.Lock()
	held, loaded := c.current, c.loaded
	c.mu.Unlock()
	if loaded {
		return held, nil
	}
	held, listing, err := c.store.load(ctx)
	if err != nil {
		return nil, err
	}
	c.set(held)
	c.observeListing(listing)
	return held, nil
}

// loadAny is load, but returns the predecessor's session if there is no current one. It does so only once: the
// predecessor ends its session when it is closed.
func (c *sessionCache) loadAny(ctx context.Context) (held *session, inherited bool, err error) {
	held, err = c.load(ctx)
	c.mu.Lock()
	done := c.inherited
	c.inherited = true
	c.mu.Unlock()
	if held != nil || err != nil || done {
		return held, false, err
	}
	held, listing, err := c.predecessor.load(ctx)
	c.observeListing(listing)
	return held, held != nil, err
}

// put makes held the current session, in memory and in the store.
func (c *sessionCache) put(ctx context.Context, held *session) {
	c.set(held)
	if err := c.store.save(ctx, held, c.tokenListing()); err != nil {
		// The login works, and an error for the caller would not undo it. After a restart the login is unknown, and
		// it uses one of the device's sessions until it expires.
		c.logger.Warn("the login at the device could not be stored; after a restart it uses one of the device's sessions until it expires",
			"error", err)
	}
}

// set makes held the current session in memory.
func (c *sessionCache) set(held *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.loaded = held, true
}

// invalidate removes a session that has ended, unless a newer session has replaced it.
func (c *sessionCache) invalidate(ended *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == ended {
		c.current = nil
	}
}
