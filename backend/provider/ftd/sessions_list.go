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
	// pageSize is how many sessions are asked for at a time: more than the device has. Its default is ten.
	pageSize = 100

	// maxPages bounds a listing that does not come to an end.
	maxPages = 10
)

// activeSession is a session that the device lists.
type activeSession struct {
	id       string
	userName string
	ends     time.Time // on our clock and never late; zero when the device does not say
}

// activeSessions lists the device's sessions: GET /action/activeusersessions, a page at a time. A page that is
// not full may be followed by others, because the device may give fewer than are asked for.
func (c *client) activeSessions(ctx context.Context, access string) ([]activeSession, error) {
	var listed []activeSession
	for range maxPages {
		answer, response, err := c.sessionsPage(ctx, access, len(listed))
		if err != nil {
			return nil, err
		}
		for _, item := range answer.Items {
			listed = append(listed, activeSession{item.ID, item.UserName, sessionEnd(item.ExpiresAt, response)})
		}
		if len(answer.Items) == 0 || len(answer.Items) < pageSize && len(listed) >= answer.Paging.Count {
			return listed, nil
		}
	}
	return nil, &provider.Error{
		Class: provider.ClassUnavailable, Op: opSessions, Message: "the device's list of sessions does not come to an end",
		Err: errNotUnderstood,
	}
}

// sessionsPage reads one page of the list.
func (c *client) sessionsPage(ctx context.Context, access string, offset int) (*sessionsAnswer, *httpclient.Response, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opSessions,
		Path:       c.base() + "/action/activeusersessions",
		Query:      url.Values{"limit": {strconv.Itoa(pageSize)}, "offset": {strconv.Itoa(offset)}},
		Header:     http.Header{"Authorization": {tokenType + " " + access}},
		Idempotent: true,
		Secrets:    []string{c.password, access},
	})
	if err != nil {
		return nil, nil, err
	}
	if !response.OK() {
		failure := c.refusal(response)
		if response.Status == http.StatusNotFound {
			failure.Remedy = "the device's release, or API version " + c.version + ", may not list sessions"
		}
		return nil, nil, failure
	}
	var answer sessionsAnswer
	if response.Decode(&answer) != nil {
		failure := response.UnexpectedResponse("the device's list of sessions cannot be understood")
		failure.Err = errNotUnderstood
		return nil, nil, failure
	}
	return &answer, response, nil
}

// sessionEnd reads expiresAt, an absolute time on the device's clock. Its unit is not documented: a number
// that in seconds would be three thousand years away counts milliseconds. Anything else says nothing, nor
// does a time without a Date header to compare it with.
func sessionEnd(expiresAt json.RawMessage, response *httpclient.Response) time.Time {
	const leastMilliseconds = 100_000_000_000
	var number int64
	if json.Unmarshal(expiresAt, &number) != nil || number <= 0 || response.ServerTime.IsZero() {
		return time.Time{}
	}
	theirs := time.Unix(number, 0)
	if number >= leastMilliseconds {
		theirs = time.UnixMilli(number)
	}
	// Date has whole seconds, so the device's clock may have shown almost a second more.
	ahead := response.ServerTime.Add(time.Second).Sub(response.SentAt)
	return theirs.Add(-ahead).UTC()
}

// listed returns the device's sessions. A refusal is an answer of the device that does not tell them: to
// whoever asks with our role, on its release, or in a shape that is understood.
func (c *connection) listed(ctx context.Context) (sessions []activeSession, refusal, err error) {
	var untold error
	refusal, err = c.manage(ctx, func(access string) (err error) {
		sessions, err = c.api.activeSessions(ctx, access)
		if untold = nil; listingUnsupported(err) {
			untold, err = err, nil // our login is not to blame
		}
		return err
	})
	if err == nil && refusal == nil {
		refusal = untold
	}
	return sessions, refusal, err
}

// List lists the sessions whose userName begins with prefix. The desired_subject of a custom token is the
// subject of its JWT, but whether custom tokens are listed at all, and by what name, is not documented. So
// what is listed is there, and what is not may be there all the same.
func (c *connection) List(ctx context.Context, prefix string) ([]provider.Listed, error) {
	if err := provider.CheckPrefix(opSessions, prefix); err != nil {
		return nil, err
	}
	sessions, refusal, err := c.listed(ctx)
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, err
	}
	var found []provider.Listed
	for _, session := range sessions {
		// Our own login and the people who log in with that name, should it look like a marker.
		if strings.HasPrefix(session.userName, prefix) && session.userName != c.api.username {
			found = append(found, provider.Listed{Marker: session.userName, ExpiresAt: session.ends})
		}
	}
	return found, nil
}
