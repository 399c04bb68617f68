package ftd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// detectTimeout limits detectListing, whose result serves only later tokens while a caller waits for this one.
const detectTimeout = 5 * time.Second

// errUnexpectedListing is the cause of an error about a list of sessions that is not as documented.
var errUnexpectedListing = errors.New("the list of sessions is not as documented")

// listingUnsupported reports whether err means that the device does not list its sessions to the engine's user. It
// leaves out the refusals that [connection.withLogin] examines.
func listingUnsupported(err error) bool {
	status := httpclient.StatusOf(err)
	switch provider.ClassOf(err) {
	case provider.ClassForbidden, provider.ClassInvalid, provider.ClassNotFound:
		return status >= 400 && !refused(err)
	}
	return status == http.StatusNotImplemented || errors.Is(err, errUnexpectedListing)
}

// sessionGuard protects the few sessions of one device. All connections to it, also those of several configs, issue one
// custom token at a time, and make no additional login at the same time. So nothing else of this process can use the last
// free session between the count and the issue, in which case the device would silently end its oldest session.
type sessionGuard struct {
	semaphore chan struct{} // contains a value while a caller holds the guard
}

// tokenListing states whether the device lists custom tokens among its sessions.
type tokenListing int

const (
	listingUnknown tokenListing = iota
	tokensListed
	tokensNotListed
)

// sessionGuards holds the guard of each device to which a connection is open. It is safe for concurrent use.
type sessionGuards struct {
	mu       sync.Mutex
	byDevice map[string]*sharedGuard
}

// sharedGuard is the guard of a device, and how many connections use it.
type sharedGuard struct {
	sessionGuard
	connections int
}

func newSessionGuards() *sessionGuards { return &sessionGuards{byDevice: map[string]*sharedGuard{}} }

// of returns the guard of the device at a base URL, and a function that a connection calls once when it closes. Later calls of
// the function do nothing.
func (g *sessionGuards) of(device string) (guard *sessionGuard, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	shared := g.byDevice[device]
	if shared == nil {
		shared = &sharedGuard{sessionGuard: sessionGuard{semaphore: make(chan struct{}, 1)}}
		g.byDevice[device] = shared
	}
	shared.connections++
	return &shared.sessionGuard, sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if shared.connections--; shared.connections == 0 {
			delete(g.byDevice, device)
		}
	})
}

// acquire waits until the guard is free, and returns the function that releases it. op is the caller's operation.
func (g *sessionGuard) acquire(ctx context.Context, op string) (release func(), err error) {
	select {
	case g.semaphore <- struct{}{}:
		return func() { <-g.semaphore }, nil
	case <-ctx.Done():
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: op, Err: ctx.Err(),
			Message: "nothing was sent: the caller's context ended while another token was issued at the same device",
		}
	}
}

// checkCapacity returns ClassCapacity if one more token would exceed the device's limit of sessions. Otherwise it
// returns the sessions that the device lists. It returns nil for a device that does not list its sessions, such as
// one with an older release: only the engine's own sessions are counted then. activeCount is the number of leased tokens.
// The caller holds the guard.
//
// Whether a device lists custom tokens is not documented; see [connection.detectListing]. Unless it is known that it
// does, checkCapacity assumes that it does not, and adds the leased tokens to the list. It can then refuse a token that
// the device has room for, but not before the first token is leased, whose issue shows whether tokens are listed.
//
// The order in which requests get the guard does not matter. Each activeCount contains all tokens that were issued or
// requested before it was determined. So of the requests that are not refused, the n-th to be counted has an activeCount of
// at least n-1, and the engine never has more tokens than the largest activeCount that is accepted, plus one.
//
// If the engine has no login, the login itself cannot be checked against the list, since the device lists its sessions
// only to a login. If other users have opened five sessions, this login ends the oldest of them.
func (c *connection) checkCapacity(ctx context.Context, activeCount int) ([]activeSession, error) {
	if err := c.sessions.restore(ctx); err != nil {
		return nil, err
	}
	// The login counts too. It may have to be made first, so this check comes before all requests.
	if c.sessions.tokenListing() != tokensListed && 1+activeCount >= maxSessions {
		return nil, c.capacityError(1, activeCount)
	}
	sessions, refusal, err := c.listSessions(ctx)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		c.logger.Debug("the device does not list its sessions", "reason", refusal.Error())
		return nil, nil
	}
	unlisted := activeCount
	if c.sessions.tokenListing() == tokensListed {
		unlisted = 0
	}
	if len(sessions)+unlisted < maxSessions {
		return sessions, nil
	}
	return nil, c.capacityError(len(sessions), unlisted)
}

// capacityError is the error for a token that would be one session too many.
func (c *connection) capacityError(listed, unlisted int) error {
	return &provider.Error{
		Class: provider.ClassCapacity, Op: opIssue,
		Message: fmt.Sprintf("the device has %d sessions: it lists %d, including the engine's login, and it does not list %d leased tokens; "+
			"its limit is %d, and it would end its oldest session for another one", listed+unlisted, listed, unlisted, maxSessions),
		Remedy: "log a user out at the device, lower max_credentials in config/" + c.api.config +
			", or set sharing=shared in the role so that readers share one token",
	}
}

// detectListing determines whether the device lists custom tokens. It compares the sessions before and after the issue
// of a token, and runs until it has a result. A listed session with the token's own id is the token; see [tokenID]. access
// is the token of the login that issued the token with this marker. If the device's list cannot be read, the result stays unknown. The caller holds the guard.
func (c *connection) detectListing(ctx context.Context, access, token, marker string, before []activeSession) {
	if c.sessions.tokenListing() != listingUnknown || before == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	after, err := c.api.activeSessions(ctx, access)
	if err != nil {
		return
	}
	listing, id, login := tokensNotListed, tokenID(token), tokenID(access)
	// A device that lists the login under its own id lists every token so.
	exact := login != "" && slices.ContainsFunc(after, func(listed activeSession) bool { return listed.id == login })
	for _, session := range after {
		if session.id == "" {
			return // without ids, new sessions cannot be distinguished from old ones
		}
		isNew := !slices.ContainsFunc(before, func(known activeSession) bool { return known.id == session.id })
		// A new session with another name belongs to a user who has just logged in.
		if id == session.id || !exact && isNew && (session.userName == marker || session.userName == c.api.username) {
			listing = tokensListed
		}
	}
	c.sessions.saveListing(ctx, listing)
}
