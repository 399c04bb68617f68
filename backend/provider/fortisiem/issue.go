package fortisiem

import (
	"context"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Issue requests an access token with the client credentials. A token request has no parameter for the lifetime. If
// the token lives shorter than requested, its lease ends earlier, and the answer contains a warning.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opExchange, Field: "ttl", Message: "must be at least one second",
		}
	}
	issued, err := c.exchange(ctx)
	if err != nil {
		return nil, err
	}
	expiry, err := issued.expiry(c.settings.unit)
	if err != nil {
		return nil, err
	}
	credential := &provider.Credential{
		Token:     issued.token,
		TokenType: issued.tokenType,
		Address:   c.api.http.BaseURL(),
		Data:      map[string]any{},
		Handle:    newHandle(issued.token),
		ExpiresAt: expiry.at,
	}
	if expiry.lifetime < request.Lifetime {
		credential.Warnings = append(credential.Warnings, fmt.Sprintf(
			"the access token lives %s, and its lease ends with it: the lifetime is the client's Access Token Expiry in the FortiSIEM GUI",
			expiry.lifetime))
	}
	if issued.rotated {
		credential.Warnings = append(credential.Warnings,
			"the product returned a new refresh token, which is not stored: the stored one may not work again")
	}
	return credential, nil
}

// exchange requests an access token as soon as the product's rate limit allows it. If another client of the same
// client id was faster, the request was refused for coming too early: nothing was created, and exchange waits and
// tries once more. Every other refusal is final and is remembered.
func (c *connection) exchange(ctx context.Context) (*issuedToken, error) {
	for attempt := 1; ; attempt++ {
		if err := c.refusals.Err(c.clock.Now()); err != nil {
			return nil, err
		}
		if err := c.limiter.wait(ctx); err != nil {
			return nil, err
		}
		// Once more, because another request may have been refused while this one waited.
		if err := c.refusals.Err(c.clock.Now()); err != nil {
			return nil, err
		}
		issued, err := c.api.exchange(ctx)
		if err == nil {
			c.refusals.Reset()
			return issued, nil
		}
		if isTooEarly(err) {
			c.limiter.postpone()
			if attempt == 1 {
				continue
			}
		}
		c.rememberRefusal(err)
		return nil, err
	}
}
