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

// learnTimeout bounds what is done for the next token while a caller waits for its own.
const learnTimeout = 5 * time.Second

// errNotUnderstood is the cause of an answer to the listing of sessions that is not as documented.
var errNotUnderstood = errors.New("the list of sessions is not as documented")

// listingUnsupported reports whether err is an answer of a device that does not list its sessions to us, apart from
// those that [connection.manage] looks into.
func listingUnsupported(err error) bool {
	status := httpclient.StatusOf(err)
	switch provider.ClassOf(err) {
	case provider.ClassForbidden, provider.ClassInvalid, provider.ClassNotFound:
		return status >= 400 && !refused(err)
	}
	return status == http.StatusNotImplemented || errors.Is(err, errNotUnderstood)
}

// sessionGuard guards the device's few sessions. Custom tokens of a connection are made one at a time: the device
// silently ends somebody's session for one too many, so nobody else may take the last place between counting
// and making.
type sessionGuard struct {
	turn chan struct{}

	// lists is whether the device lists custom tokens among its sessions, guarded by turn.
	lists listing
}

// listing is what is known about a device: whether it lists custom tokens.
type listing int

const (
	listsUnknown listing = iota
	listsTokens
	listsNoTokens
)

func newSessionGuard() *sessionGuard { return &sessionGuard{turn: make(chan struct{}, 1)} }

// acquire waits for the caller's turn, and returns the function that ends it.
func (r *sessionGuard) acquire(ctx context.Context) (leave func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opIssue, Err: ctx.Err(),
			Message: "nothing was sent: the caller's time was up while another token was being made at the same device",
		}
	}
}

// checkCapacity returns an error when a new token would be one session too many, and otherwise the sessions that
// the device lists, or nil when it does not tell them: then a token is made unseen, as on releases without
// that call. live is how many tokens are leased.
//
// Whether custom tokens are listed is not documented; see [connection.learn]. Until that is known, a device
// that lists fewer sessions than our login and the leased tokens leaves the tokens out. One that lists as many
// may leave them out too, and the rest be people: then the count is a lower bound, and a session may be ended.
//
// Nothing can be done for the login of our own, without which nothing is listed: when the device is full of
// people, it ends the oldest of their sessions.
func (c *connection) checkCapacity(ctx context.Context, live int) ([]activeSession, error) {
	sessions, refusal, err := c.listed(ctx)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		c.logger.Debug("the device does not tell how many sessions it has", "reason", refusal.Error())
		return nil, nil
	}
	hidden := 0
	if c.room.lists == listsNoTokens || c.room.lists == listsUnknown && len(sessions) < live+1 {
		hidden = live
	}
	if len(sessions)+hidden < deviceSessions {
		return sessions, nil
	}
	return nil, &provider.Error{
		Class: provider.ClassCapacity, Op: opIssue,
		Message: fmt.Sprintf("the device has %d sessions (%d that it lists, our login among them, and %d leased tokens that it does not list); "+
			"it holds %d, and would end the oldest for another", len(sessions)+hidden, len(sessions), hidden, deviceSessions),
		Remedy: "log somebody off at the device, lower max_credentials in config/" + c.api.config +
			", or set sharing=shared in the role so that readers share one token",
	}
}

// detectListing finds out whether the device lists custom tokens, once, by what it lists after one was made and did
// not list before. access is the login that made it. A listing that fails leaves it unknown.
func (c *connection) detectListing(ctx context.Context, access, marker string, before []activeSession) {
	if c.room.lists != listsUnknown || before == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	after, err := c.api.activeSessions(ctx, access)
	if err != nil {
		return
	}
	lists := listsNoTokens
	for _, session := range after {
		if session.id == "" {
			return // new ones cannot be told from old ones
		}
		isNew := !slices.ContainsFunc(before, func(known activeSession) bool { return known.id == session.id })
		// A new session of another name is somebody who has just logged in.
		if isNew && (session.userName == marker || session.userName == c.api.username) {
			lists = listsTokens
		}
	}
	c.room.lists = lists
}
