package fortisiem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Issue returns the token that the last check has obtained, or requests an access token with the client credentials. A token request has no parameter for the lifetime. If
// the token lives shorter than requested, its lease ends earlier, and the answer contains a warning.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opExchange, Field: "ttl", Message: "must be at least one second",
		}
	}
	if spare := c.takeWorking(ctx, func(spare *spareToken, now time.Time) bool { return spare.covers(request.Lifetime, now) }); spare != nil {
		return c.credential(spare, request.Lifetime), nil
	}
	issued, err := c.exchange(ctx)
	if errors.Is(err, errIssuedOnce) {
		if spare := c.takeWorking(ctx, func(*spareToken, time.Time) bool { return true }); spare != nil {
			return c.credential(spare, request.Lifetime), nil
		}
	}
	if err != nil {
		return nil, err
	}
	expiry, err := issued.expiry(c.settings.unit)
	if err != nil {
		return nil, err
	}
	credential := c.credential(c.spareOf(issued, expiry), request.Lifetime)
	if issued.rotated {
		credential.Warnings = append(credential.Warnings,
			"the product returned a new refresh token, which is not stored: the stored one may not work again")
	}
	return credential, nil
}

// credential returns a token in the form that the engine leases.
func (c *connection) credential(token *spareToken, requested time.Duration) *provider.Credential {
	credential := &provider.Credential{
		Token:     token.Token,
		TokenType: token.Type,
		Address:   c.api.http.BaseURL(),
		Data:      map[string]any{},
		Handle:    newHandle(token.Token),
		ExpiresAt: token.ExpiresAt,
	}
	if life := min(token.Lifetime, token.remaining(c.clock.Now())); life < requested {
		credential.Warnings = append(credential.Warnings, fmt.Sprintf(
			"the access token lives %s, and no lease on it lasts longer: the lifetime is the client's Access Token Expiry in the FortiSIEM GUI",
			life))
	}
	return credential
}

// spareOf returns a token that no lease holds yet.
func (c *connection) spareOf(issued *issuedToken, expiry *expiry) *spareToken {
	return &spareToken{
		Version: spareVersion, Address: c.api.http.BaseURL(), ClientID: c.settings.clientID,
		Token: issued.token, Type: issued.tokenType, Subject: issued.claims.subject, Source: expiry.source,
		Lifetime: expiry.lifetime, ExpiresAt: expiry.at,
	}
}

// exchange requests an access token as soon as the product's rate limit allows it. If another client of the same
// client id was faster, the request was refused for coming too early: nothing was created, and exchange waits and
// tries once more if the caller has the time. Every other refusal is final and is remembered.
func (c *connection) exchange(ctx context.Context) (*issuedToken, error) {
	var tooEarly error
	for {
		if err := c.refusals.Err(c.clock.Now()); err != nil {
			return nil, err
		}
		if err := c.limiter.wait(ctx); err != nil {
			if tooEarly != nil && provider.ClassOf(err) == provider.ClassRateLimited {
				return nil, tooEarly // there is no time to wait as long as the product asks
			}
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
			c.limiter.postpone(provider.RetryAfterOf(err))
			if tooEarly == nil {
				tooEarly = err
				continue
			}
		}
		c.rememberRefusal(err)
		return nil, err
	}
}
