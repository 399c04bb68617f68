package lacework

import (
	"context"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	opIssue   = "lacework: access token"
	opProfile = "lacework: user profile"
)

// client calls the API. Each method makes one request. It is safe for concurrent use.
type client struct {
	http      *httpclient.Client
	config    string // the config's name, for remedies
	keyID     string
	secretKey string
	clock     provider.Clock
	rejected  *provider.AuthBackoff // of the key
}

// issuedToken is a token with the times from which its expiry is computed.
type issuedToken struct {
	token      string
	expiresAt  string    // as in the answer
	sentAt     time.Time // when the request was sent, on this machine's clock
	serverTime time.Time // the answer's Date header; zero without one
}

// issueToken exchanges the key for a token: POST /api/v2/access/tokens. 201 is documented. Any 2xx is accepted, as in
// the vendor's own clients. The request is never sent twice, because a token whose answer is lost cannot be revoked.
func (c *client) issueToken(ctx context.Context, lifetime time.Duration) (*issuedToken, error) {
	if err := c.rejected.Err(c.clock.Now()); err != nil {
		return nil, err
	}
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:      opIssue,
		Method:  http.MethodPost,
		Path:    "/api/v2/access/tokens",
		Header:  http.Header{"X-Lw-Uaks": {c.secretKey}},
		JSON:    tokenRequest{KeyID: c.keyID, ExpiryTime: int64(lifetime / time.Second)},
		Secrets: []string{c.secretKey},
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		failure := c.statusError(response)
		if failure.Class == provider.ClassUnauthenticated {
			c.rejected.Observe(failure, c.clock.Now())
		}
		return nil, failure
	}
	c.rejected.Reset()
	var answer tokenResponse
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Token == "" {
		return nil, response.UnexpectedResponse("the answer contains no token")
	}
	return &issuedToken{
		token:      answer.Token,
		expiresAt:  answer.ExpiresAt,
		sentAt:     response.SentAt,
		serverTime: response.ServerTime,
	}, nil
}

// userProfile reads the profile of a token's user: GET /api/v2/UserProfile, the cheapest authenticated read. The result
// is nil without an error if the answer contains no profile: 204, which is documented as "no data", or an empty list.
func (c *client) userProfile(ctx context.Context, token string) (*userProfile, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:         opProfile,
		Path:       "/api/v2/UserProfile",
		Header:     http.Header{"Authorization": {"Bearer " + token}},
		Idempotent: true,
		Secrets:    []string{c.secretKey, token},
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.statusError(response)
	}
	if response.Status == http.StatusNoContent {
		return nil, nil
	}
	var answer profileResponse
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	if len(answer.Data) == 0 {
		return nil, nil
	}
	return &answer.Data[0], nil
}
