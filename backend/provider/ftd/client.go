package ftd

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// Names of the operations, as they appear in errors.
const (
	opLogin         = "ftd: password"
	opRefresh       = "ftd: refresh_token"
	opIssue         = "ftd: custom_token"
	opRevoke        = "ftd: revoke_token"
	opRevokeSubject = "ftd: revoke_token by subject"
	opUsers         = "ftd: object/users"
	opChangeUser    = "ftd: object/users/{id}"
	opSessions      = "ftd: action/activeusersessions"
	opEndSession    = "ftd: action/activeusersessions/{id}"
	opSources       = "ftd: object/localidentitysources"
	opVersions      = "ftd: versions"
)

// client makes calls to the on-box API, one method per call. It is stateless: the caller passes the access token.
type client struct {
	http     *httpclient.Client
	config   string // name of the config, for remedies
	version  string
	username string
	password string
}

// base returns the URL path that precedes all versioned resources.
func (c *client) base() string { return "/api/fdm/" + c.version }

// authorization returns the header that presents an access token.
func authorization(access string) http.Header {
	return http.Header{"Authorization": {tokenType + " " + access}}
}

// tokenGrant is the answer to a grant that issued or refreshed a token.
type tokenGrant struct {
	tokenAnswer
	sentAt   time.Time
	response *httpclient.Response
}

// expiry returns the time at which a token with this lifetime ends, on this machine's clock and never late. The device
// counts whole seconds from the beginning of the second in which it issues a token, so expiry subtracts one second.
// A lifetime above the documented maximum is limited to it, since it may be longer than a time.Duration can be.
func (g *tokenGrant) expiry(seconds int64) time.Time {
	seconds = max(0, min(seconds, int64(maxLifetime/time.Second)))
	return g.sentAt.Add(time.Duration(seconds)*time.Second - time.Second)
}

// login opens a session with user name and password. The request is sent only once, because each login uses one of
// the device's few sessions.
func (c *client) login(ctx context.Context) (*session, error) {
	grant, err := c.grant(ctx, opLogin, passwordGrant{grantPassword, c.username, c.password}, c.password)
	if err != nil {
		return nil, err
	}
	return newSession(grant), nil
}

// refresh exchanges a refresh token for a new pair of tokens of the same session. The request is sent only once,
// because it is not documented whether a refresh token may be used twice.
func (c *client) refresh(ctx context.Context, refreshToken string) (*session, error) {
	grant, err := c.grant(ctx, opRefresh, refreshGrant{grantRefresh, refreshToken}, c.password, refreshToken)
	if err != nil {
		return nil, err
	}
	return newSession(grant), nil
}

// customToken issues the token that is leased.
func (c *client) customToken(ctx context.Context, access, subject string, lifetime time.Duration) (*tokenGrant, error) {
	return c.grant(ctx, opIssue, customGrant{
		GrantType: grantCustom, AccessToken: access,
		DesiredExpiresIn: int64(lifetime / time.Second), DesiredSubject: subject,
	}, c.password, access)
}

// grant sends one of the grants whose answer contains tokens.
func (c *client) grant(ctx context.Context, op string, body any, secrets ...string) (*tokenGrant, error) {
	response, err := c.token(ctx, op, body, false, secrets...)
	if err != nil {
		return nil, err
	}
	grant := &tokenGrant{sentAt: response.SentAt, response: response}
	if err := response.Decode(&grant.tokenAnswer); err != nil {
		return nil, err
	}
	if grant.AccessToken == "" {
		return nil, response.UnexpectedResponse("the answer contains no access_token")
	}
	if !httpclient.ValidToken(grant.AccessToken) || !httpclient.ValidToken(grant.TokenType) {
		return nil, response.UnexpectedResponse("the answer contains an access_token that cannot be sent in a header")
	}
	if grant.TokenType == "" {
		grant.TokenType = tokenType
	}
	return grant, nil
}

// token sends a body to the token endpoint. The vendor's examples send no Authorization header there: the body
// contains the credential. For an answer whose status is not 2xx, it returns both the answer and the error.
func (c *client) token(ctx context.Context, op string, body any, idempotent bool, secrets ...string) (*httpclient.Response, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         op,
		Method:     http.MethodPost,
		Path:       c.base() + "/fdm/token",
		JSON:       body,
		Idempotent: idempotent,
		Secrets:    secrets,
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		failure := c.statusError(response)
		if response.Status == http.StatusUnauthorized && c.version != latestVersion {
			// Documented: the device answers an API version that it does not know with 401, not with 404.
			failure.Remedy = "the device may not know API version " + c.version + ": set api_version in config/" +
				c.config + " to latest, or to a version that the device lists at /api/versions"
		}
		return response, failure
	}
	return response, nil
}

// users reads one user, or the users with this name. It is the cheapest call that needs a token, so it also shows
// whether a token works.
func (c *client) users(ctx context.Context, access, name string) (*usersAnswer, error) {
	query := url.Values{"limit": {"1"}}
	if name != "" {
		query.Set("filter", "name:"+name)
	}
	var answer usersAnswer
	if err := c.listUsers(ctx, access, query, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

// listUsers reads one page of the users into answer: GET /object/users.
func (c *client) listUsers(ctx context.Context, access string, query url.Values, answer any) error {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opUsers,
		Path:       c.base() + "/object/users",
		Query:      query,
		Header:     authorization(access),
		Idempotent: true,
		Secrets:    []string{c.password, access},
	})
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.statusError(response)
	}
	return response.Decode(answer)
}

// accepts reports whether the device accepts the token. For a token that has ended, 401 is documented, and a Cisco
// client has observed 408. The answer 403 means that the device knows the user. The device also answers 401 to an API
// version that it does not know, so false proves only with another token that works that this token has ended.
func (c *client) accepts(ctx context.Context, access string) (bool, error) {
	_, err := c.users(ctx, access, "")
	switch httpclient.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusRequestTimeout:
		return false, nil
	case http.StatusForbidden:
		return true, nil
	}
	return err == nil, err
}

// versions reads the API versions that the device supports. The call needs no authentication. Nil without an error
// means that the device's release does not have the call.
func (c *client) versions(ctx context.Context) ([]string, error) {
	response, err := c.http.Do(ctx, httpclient.Request{Op: opVersions, Path: "/api/versions", Idempotent: true})
	if err != nil {
		return nil, err
	}
	switch {
	case response.Status == http.StatusUnauthorized, response.Status == http.StatusNotFound:
		return nil, nil
	case !response.OK():
		return nil, c.statusError(response)
	}
	var answer versionsAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	return answer.SupportedVersions, nil
}
