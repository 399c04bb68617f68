package lacework

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	opIssue   = "lacework: access token"
	opProfile = "lacework: user profile"
)

// maxReset bounds what RateLimit-Reset can ask for: the documented bucket refills within the hour.
const maxReset = 24 * time.Hour

// client speaks the API, one method a call.
type client struct {
	http      *httpclient.Client
	config    string
	keyID     string
	secretKey string
}

// issuedToken is a token and what is needed to tell when it ends.
type issuedToken struct {
	token      string
	expiresAt  string
	sentAt     time.Time
	serverTime time.Time
}

// issueToken exchanges the key for a token: POST /api/v2/access/tokens. 201 is documented, and any 2xx is
// accepted, as the vendor's own clients do. It is never sent twice: a token that is lost cannot be revoked.
func (c *client) issueToken(ctx context.Context, life time.Duration) (*issuedToken, error) {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op:      opIssue,
		Method:  http.MethodPost,
		Path:    "/api/v2/access/tokens",
		Header:  http.Header{"X-Lw-Uaks": {c.secretKey}},
		JSON:    tokenRequest{KeyID: c.keyID, ExpiryTime: int64(life / time.Second)},
		Secrets: []string{c.secretKey},
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.refusal(response)
	}
	var answer tokenAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Token == "" {
		return nil, response.UnexpectedResponse("the answer holds no token")
	}
	return &issuedToken{
		token:      answer.Token,
		expiresAt:  answer.ExpiresAt,
		sentAt:     response.SentAt,
		serverTime: response.ServerTime,
	}, nil
}

// userProfile reads whose token it is: GET /api/v2/UserProfile, the cheapest authenticated read. Nil
// without an error is the documented answer 204, "no data".
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
		return nil, c.refusal(response)
	}
	if response.Status == http.StatusNoContent {
		return nil, nil
	}
	var answer profileAnswer
	if err := response.Decode(&answer); err != nil {
		return nil, err
	}
	if len(answer.Data) == 0 {
		return nil, nil
	}
	return &answer.Data[0], nil
}

// refusal turns an answer that is not a 2xx into an error. The status of a wrong secret, an unknown key and
// a disabled key is not documented; 401 and 403 are inferred from the general table.
func (c *client) refusal(response *httpclient.Response) error {
	failure := response.StatusError(errorText(response.Body))
	switch response.Status {
	case http.StatusBadRequest:
		failure.Remedy = "check key_id and secret_key in config/" + c.config + " and the role's ttl"
	case http.StatusUnauthorized:
		failure.Remedy = "check key_id and secret_key in config/" + c.config +
			"; the key may have been disabled or deleted at the console (Settings, API Keys)"
	case http.StatusForbidden:
		failure.Remedy = "the key may be disabled, or its owner may no longer be an administrator; look at the console (Settings, API Keys)"
	case http.StatusNotFound, http.StatusGone:
		// The path is fixed, so it is the host that is not the product.
		failure.Class = provider.ClassInvalid
		failure.Field = "address"
		failure.Remedy = "check that the address in config/" + c.config + " is <account>.lacework.net"
	case http.StatusTooManyRequests:
		if failure.RetryAfter == 0 {
			failure.RetryAfter = rateLimitReset(response.Header)
		}
		failure.Remedy = "the product allows 480 requests an hour for each user and call; let leases live longer, or share them with sharing=shared"
	}
	return failure
}

// rateLimitReset reads the documented header RateLimit-Reset, in seconds. Whether it counts to a full bucket
// or to the next request that is admitted is not documented; either is late enough.
func rateLimitReset(header http.Header) time.Duration {
	seconds, err := strconv.ParseInt(header.Get("RateLimit-Reset"), 10, 64)
	if err != nil || seconds < 0 || seconds > int64(maxReset/time.Second) {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// expiry tells when the token ends on this machine's clock: never later than the product says, and never
// later than was asked for, even if the product grants more.
//
// The product's clock is not trusted. With a Date header only the difference between two of its own times
// counts, from before the request was sent. Date has whole seconds and is never ahead, so the difference is
// too long by less than a second, which is cut off: lives are whole seconds too.
func (m *issuedToken) expiry(requested time.Duration) (time.Time, error) {
	end := m.sentAt.Add(requested)
	says, err := time.Parse(time.RFC3339, m.expiresAt)
	if err != nil {
		// The member is documented. Should it be missing after all, what was asked for is the best guess.
		return end, nil
	}
	if !m.serverTime.IsZero() {
		says = m.sentAt.Add(says.Sub(m.serverTime).Truncate(time.Second))
	}
	if says.Before(end) {
		end = says
	}
	if !end.After(m.sentAt) {
		return time.Time{}, &provider.Error{
			Class: provider.ClassUnavailable, Op: opIssue,
			Message: "the product answered with a token that has already ended",
			Remedy:  "compare the clocks of the product and of the Vault server",
		}
	}
	return end, nil
}
