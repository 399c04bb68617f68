package fortisiem

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	opExchange = "fortisiem: oauth token"
	opVerify   = "fortisiem: verify"
	opRevoke   = "fortisiem: revoke_url"
)

// client speaks the API, one method a call. It knows no limits.
type client struct {
	http     *httpclient.Client
	config   string
	settings *settings
}

// issuedToken is an access token and what is needed to tell when it ends.
type issuedToken struct {
	token     string
	tokenType string
	expiresIn float64 // in a unit that is open to dispute; zero when the answer does not tell
	claims    claims
	rotated   bool // the answer brought another refresh token

	sentAt   time.Time
	response *httpclient.Response
}

// exchange sends the pair: POST /phoenix/rest/pub/security/oauth/token, a form, with the credentials in it.
// It is never sent twice: a token whose answer is lost cannot be found, and requests are counted.
//
// For grant=refresh_token the same path and the OAuth members are inferred; nothing is documented.
func (c *client) exchange(ctx context.Context) (*issuedToken, error) {
	form := url.Values{
		"grant_type":    {c.settings.grant},
		"client_id":     {c.settings.clientID},
		"client_secret": {c.settings.clientSecret},
	}
	if c.settings.grant == grantRefreshToken {
		form.Set("refresh_token", c.settings.refreshToken)
	}
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:      opExchange,
		Method:  http.MethodPost,
		Path:    c.settings.tokenPath,
		Form:    form,
		Secrets: []string{c.settings.clientSecret, c.settings.refreshToken},
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.refusal(response)
	}
	// The content type is not looked at: the product labels JSON as text now and then.
	var answer tokenAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	if answer.AccessToken == "" {
		return nil, response.UnexpectedResponse("the answer holds no access_token")
	}
	if answer.TokenType == "" {
		answer.TokenType = tokenType
	}
	return &issuedToken{
		token:     answer.AccessToken,
		tokenType: answer.TokenType,
		expiresIn: number(answer.ExpiresIn),
		claims:    parseClaims(answer.AccessToken),
		rotated:   answer.RefreshToken != "" && answer.RefreshToken != c.settings.refreshToken,
		sentAt:    response.SentAt,
		response:  response,
	}, nil
}

// verify proves that a token works.
func (c *client) verify(ctx context.Context, token string) error {
	alive, err := c.works(ctx, token)
	if err == nil && !alive {
		err = &provider.Error{
			Class: provider.ClassUnauthenticated, Op: opVerify,
			Message: "the product handed out an access token and refuses it at " + c.settings.verifyPath,
			Remedy:  "check that the address in config/" + c.config + " and its token_path and verify_path are of one FortiSIEM",
		}
	}
	return err
}

// works reads with a token: GET /phoenix/rest/system/health/summary, the vendor's own example. True is any
// 2xx, whatever its body; false is the documented 401. Anything else proves nothing and is an error.
func (c *client) works(ctx context.Context, token string) (bool, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opVerify,
		Path:       c.settings.verifyPath,
		Header:     http.Header{"Authorization": {"Bearer " + token}},
		Idempotent: true,
		Secrets:    []string{c.settings.clientSecret, c.settings.refreshToken, token},
	})
	if err != nil {
		return false, err
	}
	switch {
	case response.OK():
		return true, nil
	case response.Status == http.StatusUnauthorized:
		return false, nil
	}
	failure := response.StatusError(errorText(response.Body))
	switch response.Status {
	case http.StatusForbidden, http.StatusNotFound:
		failure.Class = provider.ClassInvalid
		failure.Field = fieldVerifyPath
		failure.Remedy = "set it in config/" + c.config + " to a read that the user who made the API token may make"
	}
	return false, failure
}
