package ftd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Issue makes a custom token, if the device has room for it.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second || request.Lifetime > maxLifetime {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opIssue, Field: "max_ttl",
			Message: fmt.Sprintf("a custom token lives between 1s and %s", maxLifetime),
		}
	}
	leave, err := c.room.acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	before, err := c.checkCapacity(ctx, request.ActiveCount)
	if err != nil {
		return nil, err
	}
	// A second more than asked for, because a second is taken off the answer; see granted.end.
	life := min(request.Lifetime+time.Second, maxLifetime)
	var made *granted
	var authority string
	refusal, err := c.manage(ctx, func(access string) (err error) {
		authority = access
		made, err = c.api.customToken(ctx, access, request.Marker, life)
		return err
	})
	if err == nil {
		err = refusal
	}
	if err != nil {
		return nil, err
	}
	c.detectListing(ctx, authority, request.Marker, before)
	end := made.end(made.ExpiresIn)
	if !end.After(made.sentAt) {
		return nil, c.revokeUnusable(ctx, authority, made)
	}
	content, err := json.Marshal(handle{handleVersion, made.AccessToken, request.Marker, end})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Op: opIssue, Message: "the handle cannot be written as JSON", Err: err}
	}
	// A refresh token was not asked for. Should there be one, it stays here: with it the application could
	// live on beyond its lease.
	return &provider.Credential{
		Token:     made.AccessToken,
		TokenType: made.TokenType,
		Address:   c.api.http.BaseURL() + c.api.base(),
		Data:      map[string]any{"subject": request.Marker},
		Handle:    content,
		ExpiresAt: end,
	}, nil
}

// revokeUnusable revokes a token of which the device did not say how long it lives: no lease can be made of it.
func (c *connection) revokeUnusable(ctx context.Context, access string, made *granted) error {
	failure := made.response.UnexpectedResponse("the answer does not say how long the token lives")
	if c.api.revokeToken(ctx, access, made.AccessToken) == nil {
		failure.Class = provider.ClassInvalid
		failure.Message += ", so it was revoked again"
	}
	return failure
}
