package ftd

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// refreshMargin is how much life an access token must have left to be used.
	refreshMargin = 60 * time.Second

	// refusalPause is how long a refused login is remembered, so that a thousand readers with a wrong
	// password make one attempt and do not lock the account.
	refusalPause = 30 * time.Second

	// maxLostPause bounds the pause after logins whose answer was lost. Each may have taken one of the
	// device's five sessions for the life of a login, so the pause doubles from refusalPause.
	maxLostPause = 10 * time.Minute
)

// session is one login of ours at the device: a pair of tokens and when each ends on our clock.
type session struct {
	access      string
	accessEnds  time.Time
	refresh     string // empty when the device gave none
	refreshEnds time.Time
}

func newSession(answer *granted) *session {
	made := &session{access: answer.AccessToken, refresh: answer.RefreshToken}
	if answer.ExpiresIn <= 0 {
		answer.ExpiresIn = int64(defaultAccessLife / time.Second)
	}
	made.accessEnds = answer.end(answer.ExpiresIn)
	if made.refresh != "" {
		if answer.RefreshExpiresIn <= 0 {
			answer.RefreshExpiresIn = int64(defaultRefreshLife / time.Second)
		}
		made.refreshEnds = answer.end(answer.RefreshExpiresIn)
	}
	return made
}

// sessionCache holds the one login that a connection has at its device. The device allows five sessions in
// all and silently ends the oldest for a sixth, so however many callers there are, they share one.
//
// No lock is held across a call: callers that need a login share one flight, which runs on a context of
// its own, because the first caller's giving up must not cost the others their login. Each exchange of a
// flight is bounded by the request timeout.
type sessionCache struct {
	api    *client
	store  sessionStore
	clock  provider.Clock
	logger hclog.Logger

	flights singleflight.Group

	mu      sync.Mutex
	loaded  bool
	current *session
	closed  bool

	refusals provider.AuthBackoff // of user name and password
	lost     provider.AuthBackoff // logins whose answer was lost
}

// flightResult is what a flight brings home.
type flightResult struct {
	held     *session
	loggedIn bool // by a password login in this flight
}

// get returns a session with life left. loggedIn reports that a password login was made for it.
func (k *sessionCache) get(ctx context.Context) (held *session, loggedIn bool, err error) {
	k.mu.Lock()
	held = k.current
	k.mu.Unlock()
	if held != nil && k.fresh(held) {
		return held, false, nil
	}
	landed, err := k.singleflight(ctx, k.acquire)
	return landed.held, landed.loggedIn, err
}

// login makes a password login, whatever session there was before, and ends that one first, so that there
// are never two.
func (k *sessionCache) login(ctx context.Context) (*session, error) {
	for {
		landed, err := k.singleflight(ctx, k.replace)
		// The flight may have been another caller's, which found a session or refreshed one.
		if err != nil || landed.loggedIn {
			return landed.held, err
		}
	}
}

// singleflight runs work unless a flight is under way, and waits for the flight or for ctx.
func (k *sessionCache) singleflight(ctx context.Context, work func(context.Context) (flightResult, error)) (flightResult, error) {
	// Nobody's login would be made for a caller that has gone.
	if err := ctx.Err(); err != nil {
		return flightResult{}, errCanceled(err)
	}
	landed := k.flights.DoChan("session", func() (any, error) {
		return provider.CatchPanic(opLogin, func() (flightResult, error) { return work(context.WithoutCancel(ctx)) })
	})
	select {
	case result := <-landed:
		return result.Val.(flightResult), result.Err
	case <-ctx.Done():
		return flightResult{}, errCanceled(ctx.Err())
	}
}

func errCanceled(cause error) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opLogin,
		Message: "the caller gave up before there was a login at the device", Err: cause,
	}
}

// acquire is the flight of get: what is held, or refreshed, or a password login.
func (k *sessionCache) acquire(ctx context.Context) (flightResult, error) {
	held, err := k.load(ctx)
	if err != nil {
		return flightResult{}, err
	}
	if held != nil && k.fresh(held) {
		return flightResult{held: held}, nil
	}
	if held != nil && k.refreshable(held) {
		renewed, err := k.api.refresh(ctx, held.refresh)
		if err == nil {
			k.put(ctx, renewed)
			return flightResult{held: renewed}, nil
		}
		if !refused(err) {
			return flightResult{}, asForbidden(err)
		}
		k.logger.Debug("the device refuses to refresh the login; logging in again")
	}
	return k.password(ctx)
}

// replace is the flight of login.
func (k *sessionCache) replace(ctx context.Context) (flightResult, error) {
	if err := k.paused(); err != nil {
		return flightResult{}, err // before anything is ended for a password that is known to be wrong
	}
	held, err := k.load(ctx)
	if err != nil {
		return flightResult{}, err
	}
	if held != nil {
		if err := k.discard(ctx, held); err != nil {
			return flightResult{}, err
		}
	}
	return k.password(ctx)
}

// password makes one password login and keeps it.
func (k *sessionCache) password(ctx context.Context) (flightResult, error) {
	if err := k.paused(); err != nil {
		return flightResult{}, err
	}
	made, err := k.api.login(ctx)
	if err != nil {
		return flightResult{}, k.refusedLogin(err)
	}
	k.refusals.Reset()
	k.lost.Reset()
	k.put(ctx, made)
	return flightResult{held: made, loggedIn: true}, nil
}

// refusedLogin gives a failed login its meaning, and remembers it if trying again at once would do harm.
func (k *sessionCache) refusedLogin(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	now := k.clock.Now()
	switch {
	case httpclient.StatusOf(err) == http.StatusBadRequest:
		// Documented: a wrong user name or password is 400 here, not 401.
		failure.Class = provider.ClassUnauthenticated
		failure.Remedy = "check username and password in config/" + k.api.config
		k.refusals.Observe(failure, now)
	case failure.Class == provider.ClassUnauthenticated, failure.Class == provider.ClassForbidden:
		k.refusals.Observe(failure, now)
	case failure.Class == provider.ClassRateLimited:
		k.refusals.Hold(failure, now)
	case failure.Class == provider.ClassAmbiguous:
		// The class is about what was asked of us, and that was not begun. But the device may hold a session
		// of which nobody has the token.
		failure.Class = provider.ClassUnavailable
		failure.Remedy = "the device may hold one of its sessions for this login until it expires"
		k.lost.Observe(failure, now)
	}
	return failure
}

// paused returns the remembered refusal while it lasts.
func (k *sessionCache) paused() error {
	k.mu.Lock()
	closed := k.closed
	k.mu.Unlock()
	if closed {
		return &provider.Error{Class: provider.ClassUnavailable, Op: opLogin, Message: "the connection is closed"}
	}
	now := k.clock.Now()
	if err := k.refusals.Err(now); err != nil {
		return err
	}
	return k.lost.Err(now)
}

func (k *sessionCache) fresh(held *session) bool {
	return held.accessEnds.Sub(k.clock.Now()) >= refreshMargin
}

func (k *sessionCache) refreshable(held *session) bool {
	return held.refresh != "" && held.refreshEnds.After(k.clock.Now())
}

// load returns the session that is held, reading the store at first need; nil when there is none.
func (k *sessionCache) load(ctx context.Context) (*session, error) {
	k.mu.Lock()
	held, loaded := k.current, k.loaded
	k.mu.Unlock()
	if loaded {
		return held, nil
	}
	held, err := k.store.load(ctx)
	if err != nil {
		return nil, err
	}
	k.set(held)
	return held, nil
}

// put makes the session the one that is held, here and in the store.
func (k *sessionCache) put(ctx context.Context, held *session) {
	k.set(held)
	if err := k.store.save(ctx, held); err != nil {
		// The login works, and failing the caller would not undo it. What is lost is that after a restart
		// nobody knows of it: then it takes one of the device's sessions until it expires.
		k.logger.Warn("the device's login could not be stored; after a restart it holds one of the device's sessions until it expires",
			"error", err)
	}
}

func (k *sessionCache) set(held *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current, k.loaded = held, true
}

// invalidate forgets a session that turned out dead, unless a newer one has taken its place.
func (k *sessionCache) invalidate(dead *session) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current == dead {
		k.current = nil
	}
}

// discard ends a session at the device and forgets it, here and in the store.
func (k *sessionCache) discard(ctx context.Context, held *session) error {
	held, err := k.end(ctx, held)
	if err != nil {
		return err
	}
	k.invalidate(held)
	return k.store.save(ctx, nil)
}

// end revokes a session at the device, and returns nil once the session is known to be gone. It returns the
// session as it was last, because it may have to refresh it.
//
// Whether revoking one token of a pair ends the other is inferred, not documented. So the refresh token
// goes first, while the access token can still be used to revoke it, and then the access token if it works.
func (k *sessionCache) end(ctx context.Context, held *session) (*session, error) {
	if !held.accessEnds.After(k.clock.Now()) {
		if !k.refreshable(held) {
			return held, nil // it has expired
		}
		// Only an access token that works can revoke.
		renewed, err := k.api.refresh(ctx, held.refresh)
		if refused(err) {
			return held, nil // neither token works any more
		}
		if err != nil {
			return held, asForbidden(err)
		}
		// Kept, so that what is stored still works should the next step fail.
		k.put(ctx, renewed)
		held = renewed
	}
	if held.refresh != "" {
		if err := k.api.revokeToken(ctx, held.access, held.refresh); err != nil && !unsettled(err) {
			return held, err
		}
		if alive, err := k.api.works(ctx, held.access); err != nil || !alive {
			return held, err
		}
	}
	err := k.api.revokeToken(ctx, held.access, held.access)
	if !unsettled(err) {
		return held, err
	}
	alive, probeErr := k.api.works(ctx, held.access)
	switch {
	case probeErr != nil:
		return held, probeErr
	case alive:
		return held, err
	}
	return held, nil
}

// close ends the session for good: no other is obtained afterwards.
func (k *sessionCache) close(ctx context.Context) error {
	k.mu.Lock()
	k.closed = true
	k.mu.Unlock()
	// A flight that is under way is waited for, so that its login is not left behind. What it brings home is
	// in k.current; why it failed is its callers' affair.
	_, _ = k.singleflight(ctx, func(context.Context) (flightResult, error) { return flightResult{}, nil })
	if err := ctx.Err(); err != nil {
		return errCanceled(err)
	}
	held, err := k.load(ctx)
	if err != nil || held == nil {
		return err
	}
	return k.discard(ctx, held)
}

// asForbidden is for a failure in getting a login: whatever became of that, what was asked of us was not
// begun.
func asForbidden(err error) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Class == provider.ClassAmbiguous {
		failure.Class = provider.ClassUnavailable
	}
	return err
}
