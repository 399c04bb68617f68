package fortianalyzer

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// revokeTimeout bounds the revocation of an access token, which follows the request that ends the last config.
const revokeTimeout = 5 * time.Second

// passwordGrant requests an access token with the password: POST /api/v1/oauth/token/. The new token ends the previous
// one of the API user for this application, so the request is sent once. A lost answer is ClassUnavailable, not
// ClassAmbiguous: no session was requested, and the next token ends the lost one.
func (c *client) passwordGrant(ctx context.Context) (*accessToken, error) {
	return c.grant(ctx, tokenRequest{
		Username: c.username, Password: c.password, ClientID: c.clientID, GrantType: grantPassword,
	})
}

// refreshGrant exchanges a refresh token for another access token. It needs no password. The access token may have
// expired. Like passwordGrant, the request is sent once.
func (c *client) refreshGrant(ctx context.Context, refreshToken string) (*accessToken, error) {
	return c.grant(ctx, tokenRequest{
		RefreshToken: refreshToken, ClientID: c.clientID, GrantType: grantRefresh,
	})
}

// grant sends a request for an access token.
func (c *client) grant(ctx context.Context, request tokenRequest) (*accessToken, error) {
	response, err := c.oauth.Do(ctx, httpclient.Request{
		Op:      opToken,
		Method:  http.MethodPost,
		Path:    "/api/v1/oauth/token/",
		JSON:    request,
		Secrets: []string{c.password, request.RefreshToken},
	})
	if err != nil {
		return nil, c.asOAuthError(err)
	}
	if response.Status != http.StatusOK {
		return nil, c.asOAuthError(c.tokenError(response))
	}
	var answer tokenResponse
	if err := response.Decode(&answer); err != nil {
		return nil, c.asOAuthError(err)
	}
	if answer.AccessToken == "" {
		return nil, c.asOAuthError(c.tokenError(response))
	}
	if !httpclient.ValidToken(answer.AccessToken) {
		return nil, c.asOAuthError(response.UnexpectedResponse("the access token contains characters that no header can carry"))
	}
	granted := &accessToken{value: answer.AccessToken, refreshToken: answer.RefreshToken, obtainedAt: response.SentAt}
	life := time.Duration(answer.ExpiresIn) * time.Second
	if answer.ExpiresIn <= 0 || answer.ExpiresIn > int64(maxTokenLife/time.Second) {
		life = defaultTokenLife
	}
	granted.expiresAt = response.SentAt.Add(life)
	return granted, nil
}

// tokenState is what the OAuth server says about an access token.
type tokenState int

const (
	tokenUnknown tokenState = iota // the answer is not understood
	tokenLive
	tokenEnded
)

// verifyToken asks the OAuth server whether an access token is valid: GET /api/v1/oauth/verify_token/. 200 and 401 are
// documented for FortiAuthenticator. It is inferred that FortiCloud's server has this call, so any other answer means
// nothing.
func (c *client) verifyToken(ctx context.Context, token string) (tokenState, error) {
	response, err := c.oauth.Do(ctx, httpclient.Request{
		Op:         opVerify,
		Path:       "/api/v1/oauth/verify_token/",
		Query:      url.Values{"client_id": {c.clientID}},
		Header:     http.Header{"Authorization": {"Bearer " + token}},
		Idempotent: true,
		Secrets:    []string{c.password, token},
	})
	switch {
	case err != nil:
		return tokenUnknown, c.asOAuthError(err)
	case response.IsHTML():
		return tokenUnknown, nil
	case response.Status == http.StatusOK:
		return tokenLive, nil
	case response.Status == http.StatusUnauthorized:
		return tokenEnded, nil
	}
	return tokenUnknown, nil
}

// revokeToken revokes an access token: POST /api/v1/oauth/revoke_token/. The server also answers 200 for a token that
// it does not know. A canceled request waits for it no longer than a second.
func (c *client) revokeToken(ctx context.Context, token string) error {
	ctx, cancel := provider.CleanupContext(ctx, revokeTimeout)
	defer cancel()
	response, err := c.oauth.Do(ctx, httpclient.Request{
		Op:         opRevoke,
		Method:     http.MethodPost,
		Path:       "/api/v1/oauth/revoke_token/",
		JSON:       revokeRequest{ClientID: c.clientID, Token: token},
		Idempotent: true,
		Secrets:    []string{c.password, token},
	})
	if err != nil {
		return c.asOAuthError(err)
	}
	if !response.OK() {
		return c.asOAuthError(response.StatusError(readErrorBody(response.Body).text))
	}
	return nil
}
