package fortianalyzer

import (
	"context"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// revokeTimeout bounds the revocation of an access token, because other logins of the API user wait for it.
const revokeTimeout = 5 * time.Second

// accessToken requests an access token: POST /api/v1/oauth/token/. The new token ends the previous one of the API
// user, so the request is sent once. A lost answer is ClassUnavailable, not ClassAmbiguous: no session was requested,
// and the next token ends the lost one.
func (c *client) accessToken(ctx context.Context) (string, error) {
	response, err := c.oauth.Do(ctx, httpclient.Request{
		Op:      opToken,
		Method:  http.MethodPost,
		Path:    "/api/v1/oauth/token/",
		JSON:    tokenRequest{Username: c.username, Password: c.password, ClientID: c.clientID, GrantType: grantPassword},
		Secrets: []string{c.password},
	})
	if err != nil {
		return "", c.asOAuthError(err)
	}
	if response.Status != http.StatusOK {
		return "", c.asOAuthError(c.tokenError(response))
	}
	var answer tokenResponse
	if err := response.Decode(&answer); err != nil {
		return "", c.asOAuthError(err)
	}
	if answer.AccessToken == "" {
		return "", c.asOAuthError(c.tokenError(response))
	}
	return answer.AccessToken, nil
}

// revokeToken revokes an access token: POST /api/v1/oauth/revoke_token/. The server also answers 200 for a token that
// it does not know. The context outlives the request, for at most revokeTimeout.
func (c *client) revokeToken(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
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
