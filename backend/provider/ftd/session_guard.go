package ftd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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

// sessionGuard protects the device's few sessions. A connection issues one custom token at a time. So no other token
// can use the last free session between the count and the issue, in which case the device would silently end its
// oldest session.
type sessionGuard struct {
	semaphore chan struct{} // contains a value while a caller holds the guard

	// listing is read and written only by the caller that holds the guard.
	listing tokenListing
}

// tokenListing states whether the device lists custom tokens among its sessions.
type tokenListing int

const (
	listingUnknown tokenListing = iota
	tokensListed
	tokensNotListed
)

// newSessionGuard returns a guard that is free.
func newSessionGuard() *sessionGuard { return &sessionGuard{semaphore: make(chan struct{}, 1)} }

// acquire waits until the guard is free, and returns the function that releases it.
func (g *sessionGuard) acquire(ctx context.Context) (release func(), err error) {
	select {
	case g.semaphore <- struct{}{}:
		return func() { <-g.semaphore }, nil
	case <-ctx.Done():
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opIssue, Err: ctx.Err(),
			Message: "nothing was sent: the caller's context ended while another token was issued at the same device",
		}
	}
}

// checkCapacity returns ClassCapacity if one more token would exceed the device's limit of sessions. Otherwise it
// returns the sessions that the device lists. It returns nil for a device that does not list its sessions, such as
// one with an older release: the token is then issued without a count. activeCount is the number of leased tokens.
// The caller holds the guard.
//
// Whether a device lists custom tokens is not documented; see [connection.detectListing]. While it is unknown, a
// list that is shorter than the engine's login and the leased tokens together is taken as one without the tokens. A
// longer list may also be without the tokens, if it contains other users. Then the count is too low, and the device
// may end a session.
//
// The engine's login itself is not checked, since the device lists its sessions only to a login. If other users have
// opened five sessions, this login ends the oldest of them.
func (c *connection) checkCapacity(ctx context.Context, activeCount int) ([]activeSession, error) {
	sessions, refusal, err := c.listSessions(ctx)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		c.logger.Debug("the device does not list its sessions", "reason", refusal.Error())
		return nil, nil
	}
	unlisted := 0
	if c.guard.listing == tokensNotListed || c.guard.listing == listingUnknown && len(sessions) < activeCount+1 {
		unlisted = activeCount
	}
	if len(sessions)+unlisted < maxSessions {
		return sessions, nil
	}
	return nil, &provider.Error{
		Class: provider.ClassCapacity, Op: opIssue,
		Message: fmt.Sprintf("the device has %d sessions: it lists %d, including the engine's login, and it does not list %d leased tokens; "+
			"its limit is %d, and it would end its oldest session for another one", len(sessions)+unlisted, len(sessions), unlisted, maxSessions),
		Remedy: "log a user out at the device, lower max_credentials in config/" + c.api.config +
			", or set sharing=shared in the role so that readers share one token",
	}
}

// detectListing determines whether the device lists custom tokens. It compares the sessions before and after the issue
// of a token, and runs until it has a result. access is the token of the login that issued the token with this
// marker. If the device's list cannot be read, the result stays unknown. The caller holds the guard.
func (c *connection) detectListing(ctx context.Context, access, marker string, before []activeSession) {
	if c.guard.listing != listingUnknown || before == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, detectTimeout)
	defer cancel()
	after, err := c.api.activeSessions(ctx, access)
	if err != nil {
		return
	}
	listing := tokensNotListed
	for _, session := range after {
		if session.id == "" {
			return // without ids, new sessions cannot be distinguished from old ones
		}
		isNew := !slices.ContainsFunc(before, func(known activeSession) bool { return known.id == session.id })
		// A new session with another name belongs to a user who has just logged in.
		if isNew && (session.userName == marker || session.userName == c.api.username) {
			listing = tokensListed
		}
	}
	c.guard.listing = listing
}
