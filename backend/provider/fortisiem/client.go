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

// client has one method for each call of the API. It does not know the rate limit.
type client struct {
	http     *httpclient.Client
	config   string
	settings *settings
}

// issuedToken is an access token with the facts that determine its expiry.
type issuedToken struct {
	token     string
	tokenType string
	expiresIn float64 // in seconds or minutes, see expiry; zero if the answer does not contain it
	minutes   bool    // expiresIn is in minutes, by its name
	claims    claims
	rotated   bool // the answer contains a new refresh token

	sentAt   time.Time
	response *httpclient.Response
}

// exchange requests an access token: POST /phoenix/rest/pub/security/oauth/token, with the client credentials in a form.
// It is sent at most once: a token whose answer is lost cannot be found, and the product counts requests.
//
// For grant=refresh_token the path and the OAuth parameters are inferred. They are not documented.
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
	// The content type is ignored: the product sometimes labels JSON as text.
	var answer tokenAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	minutes := answer.normalize()
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
		minutes:   minutes,
		claims:    parseClaims(answer.AccessToken),
		rotated:   answer.RefreshToken != "" && answer.RefreshToken != c.settings.refreshToken,
		sentAt:    response.SentAt,
		response:  response,
	}, nil
}

// verify returns an error unless the token works.
func (c *client) verify(ctx context.Context, token string) error {
	works, err := c.works(ctx, token)
	if err == nil && !works {
		err = &provider.Error{
			Class: provider.ClassUnauthenticated, Op: opVerify,
			Message: "the product handed out an access token and refuses it at " + c.settings.verifyPath,
			Remedy:  "check that address, token_path and verify_path in config/" + c.config + " belong to the same FortiSIEM",
		}
	}
	return err
}

// works reports whether a token works: GET /phoenix/rest/system/health/summary, the example in the vendor's documents.
// Any 2xx means true, whatever its body is. The documented 401 means false. Every other answer is an error.
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
		failure.Remedy = "set it in config/" + c.config + " to a path that the user who created the API token may read"
	}
	return false, failure
}
