package ftd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// handleVersion is the version of the layout of [handle].
const handleVersion = 1

// handle holds what renewing and revoking a custom token need.
type handle struct {
	Version   int       `json:"v"`
	Token     string    `json:"token"`
	Subject   string    `json:"subject"`
	ExpiresAt time.Time `json:"expires_at"`
}

// parseHandle reads a stored handle.
func parseHandle(content json.RawMessage) (handle, error) {
	return provider.ParseHandle("ftd", content, handleVersion, func(h handle) bool { return h.Token != "" })
}

// Issue implements [provider.Connection]. It issues a custom token unless the device would end another session
// for it; then the error is ClassCapacity.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second || request.Lifetime > maxLifetime {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opIssue, Field: "max_ttl",
			Message: fmt.Sprintf("the lifetime of a custom token must be between 1s and %s", maxLifetime),
		}
	}
	release, err := c.guard.acquire(ctx, opIssue)
	if err != nil {
		return nil, err
	}
	defer release()
	before, err := c.checkCapacity(ctx, request.ActiveCount)
	if err != nil {
		return nil, err
	}
	// One second more than requested, because tokenGrant.expiry subtracts one second.
	lifetime := min(request.Lifetime+time.Second, maxLifetime)
	var issued *tokenGrant
	var loginToken string
	refusal, err := c.withLogin(ctx, func(access string) (err error) {
		loginToken = access
		issued, err = c.api.customToken(ctx, access, request.Marker, lifetime)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, err
	}
	c.detectListing(ctx, loginToken, issued.AccessToken, request.Marker, before)
	expiresAt := issued.expiry(issued.ExpiresIn)
	if !expiresAt.After(issued.sentAt) {
		return nil, c.revokeUnusable(ctx, loginToken, issued)
	}
	return c.credential(issued, request.Marker, expiresAt)
}

// credential returns an issued token in the form that the engine leases. It leaves out a refresh token, which the
// driver does not request: with a refresh token, an application could extend its access beyond the lease.
func (c *connection) credential(issued *tokenGrant, subject string, expiresAt time.Time) (*provider.Credential, error) {
	content, err := json.Marshal(handle{handleVersion, issued.AccessToken, subject, expiresAt})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Op: opIssue, Message: "the handle cannot be written as JSON", Err: err}
	}
	return &provider.Credential{
		Token:     issued.AccessToken,
		TokenType: issued.TokenType,
		Address:   c.api.http.BaseURL() + c.api.base(),
		Data:      map[string]any{"subject": subject},
		Handle:    content,
		ExpiresAt: expiresAt,
	}, nil
}

// revokeUnusable revokes a token that the device returned without a lifetime, since a lease needs one. It returns
// the error of the issue. The error is ClassAmbiguous even if the device confirms the revocation, since a token was
// issued: the engine also revokes the token's subject.
func (c *connection) revokeUnusable(ctx context.Context, access string, issued *tokenGrant) error {
	failure := issued.response.UnexpectedResponse("the answer does not say how long the token lives")
	failure.Class = provider.ClassAmbiguous
	if c.api.revokeToken(ctx, access, issued.AccessToken) == nil {
		failure.Message += ", so the engine has revoked it"
	}
	return failure
}
