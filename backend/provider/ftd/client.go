package ftd

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	opLogin         = "ftd: password"
	opRefresh       = "ftd: refresh_token"
	opIssue         = "ftd: custom_token"
	opRevoke        = "ftd: revoke_token"
	opRevokeSubject = "ftd: revoke_token by subject"
	opUsers         = "ftd: object/users"
	opChangeUser    = "ftd: object/users/{id}"
	opSessions      = "ftd: action/activeusersessions"
	opVersions      = "ftd: versions"
)

// busyRetry is how long Cisco's client waits when the configuration database is locked.
const busyRetry = 10 * time.Second

// defaultAccessLife and defaultRefreshLife are the documented lives of a login's two tokens, for an answer
// that does not state them.
const (
	defaultAccessLife  = 1800 * time.Second
	defaultRefreshLife = 2400 * time.Second
)

// latestVersion is the alias of the newest API version.
const latestVersion = "latest"

// client speaks the on-box API, one method a call. It knows no session.
type client struct {
	http     *httpclient.Client
	config   string
	version  string
	username string
	password string
}

// base is the URL path below which all versioned resources lie.
func (c *client) base() string { return "/api/fdm/" + c.version }

// granted is the answer to a grant that made or renewed a token.
type granted struct {
	tokenAnswer
	sentAt   time.Time
	response *httpclient.Response
}

// end is when a token of that life ends, on this machine's clock and never late. The device's tokens count
// whole seconds from the beginning of the second in which they are made, hence the second less. A life above
// the documented maximum is none that a device gives, and may be more than a time.Duration holds.
func (g *granted) end(seconds int64) time.Time {
	seconds = max(0, min(seconds, int64(maxLifetime/time.Second)))
	return g.sentAt.Add(time.Duration(seconds)*time.Second - time.Second)
}

// login asks for a session with user name and password. It takes one of the device's few sessions, so it is
// never sent twice.
func (c *client) login(ctx context.Context) (*session, error) {
	answer, err := c.grant(ctx, opLogin, passwordGrant{grantPassword, c.username, c.password}, c.password)
	if err != nil {
		return nil, err
	}
	return newSession(answer), nil
}

// refresh exchanges a refresh token for a new pair of the same session. Whether a refresh token may be used
// twice is not documented, so it is sent once.
func (c *client) refresh(ctx context.Context, refreshToken string) (*session, error) {
	answer, err := c.grant(ctx, opRefresh, refreshGrant{grantRefresh, refreshToken}, c.password, refreshToken)
	if err != nil {
		return nil, err
	}
	return newSession(answer), nil
}

// customToken makes the token that is leased.
func (c *client) customToken(ctx context.Context, access, subject string, life time.Duration) (*granted, error) {
	return c.grant(ctx, opIssue, customGrant{
		GrantType: grantCustom, AccessToken: access,
		DesiredExpiresIn: int64(life / time.Second), DesiredSubject: subject,
	}, c.password, access)
}

// grant sends one of the grants that answer with tokens.
func (c *client) grant(ctx context.Context, op string, body any, secrets ...string) (*granted, error) {
	response, err := c.token(ctx, op, body, false, secrets...)
	if err != nil {
		return nil, err
	}
	answer := &granted{sentAt: response.SentAt, response: response}
	if err := response.Decode(&answer.tokenAnswer); err != nil {
		return nil, err
	}
	if answer.AccessToken == "" {
		return nil, response.UnexpectedResponse("the answer holds no access_token")
	}
	if !httpclient.ValidToken(answer.AccessToken) || !httpclient.ValidToken(answer.TokenType) {
		return nil, response.UnexpectedResponse("the answer holds an access_token that cannot be sent in a header")
	}
	if answer.TokenType == "" {
		answer.TokenType = tokenType
	}
	return answer, nil
}

// revokeToken ends the token, by the authority of access.
func (c *client) revokeToken(ctx context.Context, access, token string) error {
	response, err := c.token(ctx, opRevoke, revokeGrant{
		GrantType: grantRevoke, AccessToken: access, TokenToRevoke: token,
	}, true, c.password, access, token)
	if err != nil {
		return err
	}
	return confirmed(response)
}

// errUnconfirmed is the cause of an answer to a revocation that promises success and does not say so.
var errUnconfirmed = errors.New("the revocation is not confirmed")

// confirmed reads the documented answer to a revocation, {"message":"OK","status_code":200}. What answers 200
// to everything, such as a proxy's login page, has revoked nothing.
func confirmed(response *httpclient.Response) error {
	var answer struct {
		Message string `json:"message"`
		Status  int    `json:"status_code"`
	}
	if response.Decode(&answer) == nil && (answer.Message == "OK" || answer.Status == http.StatusOK) {
		return nil
	}
	failure := response.UnexpectedResponse("the device's answer does not say that the token was revoked")
	failure.Err = errUnconfirmed
	return failure
}

// unsettled reports whether a revocation was refused or not confirmed: whether the token works tells more.
func unsettled(err error) bool { return refused(err) || errors.Is(err, errUnconfirmed) }

// revokeSubject ends the custom token of the subject, by the authority of access. For a refusal it also
// returns what the device said, with the subject's name taken out, so that two refusals can be compared.
func (c *client) revokeSubject(ctx context.Context, access, subject string) (said refusalText, err error) {
	response, err := c.token(ctx, opRevokeSubject, revokeGrant{
		GrantType: grantRevoke, AccessToken: access, SubjectToRevoke: subject,
	}, true, c.password, access)
	if err == nil {
		return said, confirmed(response)
	}
	if response != nil {
		text := errorText(response.Body)
		if text == "" {
			text = string(response.Body)
		}
		said = refusalText{status: response.Status, text: strings.ReplaceAll(text, subject, "<subject>")}
	}
	return said, err
}

// refusalText is what the device said when it refused something.
type refusalText struct {
	status int
	text   string
}

// token sends a body to the token endpoint. The vendor's examples send no Authorization header there: the
// credential travels in the body. For an answer that is not a 2xx it returns both the answer and the error.
func (c *client) token(ctx context.Context, op string, body any, repeatable bool, secrets ...string) (*httpclient.Response, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         op,
		Method:     http.MethodPost,
		Path:       c.base() + "/fdm/token",
		JSON:       body,
		Idempotent: repeatable,
		Secrets:    secrets,
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		failure := c.refusal(response)
		if response.Status == http.StatusUnauthorized && c.version != latestVersion {
			// Documented: a version that the device does not know is answered with 401, not 404.
			failure.Remedy = "the device may not know API version " + c.version + ": set api_version=latest in config/" +
				c.config + ", or one that the device lists at /api/versions"
		}
		return response, failure
	}
	return response, nil
}

// users reads the users, or those of one name: the cheapest authenticated call, which tells whether a token
// works, too.
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

// listUsers reads a page of the users into answer: GET /object/users.
func (c *client) listUsers(ctx context.Context, access string, query url.Values, answer any) error {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opUsers,
		Path:       c.base() + "/object/users",
		Query:      query,
		Header:     http.Header{"Authorization": {tokenType + " " + access}},
		Idempotent: true,
		Secrets:    []string{c.password, access},
	})
	if err != nil {
		return err
	}
	if !response.OK() {
		return c.refusal(response)
	}
	return response.Decode(answer)
}

// works reports whether the device accepts the token. 401 is documented for one that has ended and 408 seen
// by a Cisco client; 403 is the answer to somebody who is known. Mind that 401 is also the answer to an API
// version that the device does not know: a false means something only once another token has worked.
func (c *client) works(ctx context.Context, access string) (bool, error) {
	_, err := c.users(ctx, access, "")
	switch httpclient.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusRequestTimeout:
		return false, nil
	case http.StatusForbidden:
		return true, nil
	}
	return err == nil, err
}

// versions reads the API versions that the device supports. It needs no authentication. Nil without an error
// means a release that does not have the call.
func (c *client) versions(ctx context.Context) ([]string, error) {
	response, err := c.http.Do(ctx, httpclient.Request{Op: opVersions, Path: "/api/versions", Idempotent: true})
	if err != nil {
		return nil, err
	}
	switch {
	case response.Status == http.StatusUnauthorized, response.Status == http.StatusNotFound:
		return nil, nil
	case !response.OK():
		return nil, c.refusal(response)
	}
	var answer versionsAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	return answer.SupportedVersions, nil
}

// refusal turns an answer that is not a 2xx into an error.
func (c *client) refusal(response *httpclient.Response) *provider.Error {
	failure := response.StatusError(errorText(response.Body))
	switch response.Status {
	case http.StatusRequestTimeout:
		// Not the usual meaning: a Cisco client names it "token expiration" and treats it like 401.
		failure.Class = provider.ClassUnauthenticated
	case http.StatusNotFound, http.StatusGone:
		// All paths are fixed, so this is not a device. ClassNotFound would say that a credential has ended.
		failure.Class = provider.ClassInvalid
		failure.Remedy = "check that the address in config/" + c.config + " is a device that is managed on the box (FDM)"
	case http.StatusForbidden:
		failure.Remedy = "finish the device's setup wizard, or give the user in config/" + c.config + " a role that may do this"
	case http.StatusLocked:
		failure.Message = "the device's configuration database is locked"
		if failure.RetryAfter == 0 {
			failure.RetryAfter = busyRetry
		}
	case http.StatusServiceUnavailable:
		failure.Message = "the device is starting, or its management is not ready yet"
	}
	return failure
}

// refused reports whether the device answered that it will not do this: with the next token perhaps, but
// not with this one. Such an answer proves that nothing was made or revoked.
func refused(err error) bool {
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound,
		http.StatusRequestTimeout, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
