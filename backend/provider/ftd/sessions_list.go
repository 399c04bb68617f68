package ftd

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// pageSize is the number of items that the driver requests per page. It is more than the device has sessions.
	// The device's default is ten.
	pageSize = 100

	// maxPages limits a list that does not end.
	maxPages = 10
)

// activeSession is a session that the device lists.
type activeSession struct {
	id        string
	userName  string
	expiresAt time.Time // on this machine's clock and never late; zero when the device does not report it
}

// activeSessions lists the device's sessions, page by page: GET /action/activeusersessions. More pages may follow a
// page that is not full, because the device may return fewer items than requested.
func (c *client) activeSessions(ctx context.Context, access string) ([]activeSession, error) {
	var sessions []activeSession
	for range maxPages {
		answer, response, err := c.sessionsPage(ctx, access, len(sessions))
		if err != nil {
			return nil, err
		}
		for _, item := range answer.Items {
			sessions = append(sessions, activeSession{item.ID, item.UserName, sessionExpiry(item.ExpiresAt, response)})
		}
		if len(answer.Items) == 0 || len(answer.Items) < pageSize && len(sessions) >= answer.Paging.Count {
			return sessions, nil
		}
	}
	return nil, &provider.Error{
		Class: provider.ClassUnavailable, Op: opSessions, Message: "the device's list of sessions does not end",
		Err: errUnexpectedListing,
	}
}

// sessionsPage reads the page of the list that begins at offset.
func (c *client) sessionsPage(ctx context.Context, access string, offset int) (*sessionsAnswer, *httpclient.Response, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opSessions,
		Path:       c.base() + "/action/activeusersessions",
		Query:      url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)}},
		Header:     authorization(access),
		Idempotent: true,
		Secrets:    []string{c.password, access},
	})
	if err != nil {
		return nil, nil, err
	}
	if !response.OK() {
		failure := c.statusError(response)
		if response.Status == http.StatusNotFound {
			failure.Remedy = "the device's release, or API version " + c.version + ", may not list sessions"
		}
		return nil, nil, failure
	}
	var answer sessionsAnswer
	if response.Decode(&answer) != nil {
		failure := response.UnexpectedResponse("the device's list of sessions cannot be read")
		failure.Err = errUnexpectedListing
		return nil, nil, failure
	}
	return &answer, response, nil
}

// sessionExpiry reads expiresAt, an absolute time on the device's clock, and converts it to this machine's clock. Its
// unit is not documented: a number that would be thousands of years away in seconds is read as milliseconds. The
// result is zero for a value that is no number, and for an answer without a Date header, which shows the device's
// clock.
func sessionExpiry(expiresAt json.RawMessage, response *httpclient.Response) time.Time {
	const minMilliseconds = 100_000_000_000
	var number int64
	if json.Unmarshal(expiresAt, &number) != nil || number <= 0 || response.ServerTime.IsZero() {
		return time.Time{}
	}
	deviceTime := time.Unix(number, 0)
	if number >= minMilliseconds {
		deviceTime = time.UnixMilli(number)
	}
	// Date has whole seconds, so the device's clock may have been almost one second further.
	ahead := response.ServerTime.Add(time.Second).Sub(response.SentAt)
	return deviceTime.Add(-ahead).UTC()
}

// listSessions returns the device's sessions. A refusal means that the device does not list them: not to the
// engine's user, not in its release, or not in the documented shape.
func (c *connection) listSessions(ctx context.Context) (sessions []activeSession, refusal, err error) {
	var unsupported error
	refusal, err = c.withLogin(ctx, func(access string) (err error) {
		sessions, err = c.api.activeSessions(ctx, access)
		if unsupported = nil; listingUnsupported(err) {
			unsupported, err = err, nil // the login is not the reason
		}
		return err
	})
	if err == nil && refusal == nil {
		refusal = unsupported
	}
	return sessions, refusal, err
}

// List implements [provider.Lister]. It lists the sessions whose userName begins with prefix. The desired_subject of
// a custom token is the subject of its JWT. But it is not documented whether the device lists custom tokens at all,
// and under which name. So every listed token exists, and a token that is not listed may also exist.
func (c *connection) List(ctx context.Context, prefix string) ([]provider.Listed, error) {
	if err := provider.CheckPrefix(opSessions, prefix); err != nil {
		return nil, err
	}
	sessions, refusal, err := c.listSessions(ctx)
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, err
	}
	var found []provider.Listed
	for _, session := range sessions {
		// The engine's user is left out, in case its name looks like a marker: its sessions are the engine's login
		// and the logins of people.
		if strings.HasPrefix(session.userName, prefix) && session.userName != c.api.username {
			found = append(found, provider.Listed{Marker: session.userName, ExpiresAt: session.expiresAt})
		}
	}
	return found, nil
}
