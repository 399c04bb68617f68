package fortisiem

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Check requests an access token with the client credentials and reads with it. It waits for the rate limit like
// every other token request. The token is kept: the next Issue returns it, and Logout ends it if no Issue did. Without a
// session store, Check revokes it if the config has a revoke_url. Otherwise, the result contains a warning with the token's
// lifetime.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	issued, err := c.exchange(ctx)
	if errors.Is(err, errIssuedOnce) {
		if result := c.checkSpare(ctx); result != nil {
			return result, nil
		}
	}
	if err != nil {
		return nil, err
	}
	err = c.api.verify(ctx, issued.token)
	expiry, expiryErr := issued.expiry(c.settings.unit)
	if err == nil {
		err = expiryErr
	}
	if err != nil {
		_ = c.revokeIfPossible(ctx, issued.token) // the error of the check matters more
		if c.revocation == nil && expiryErr == nil {
			return &provider.CheckResult{Issued: c.credential(c.spareOf(issued, expiry), 0)}, err
		}
		return nil, err
	}
	checked := c.spareOf(issued, expiry)
	result := c.checkResult(checked)
	earlier := c.spares.peek(ctx)
	if c.spares.put(ctx, checked) {
		result.Issued = c.credential(checked, 0)
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"this check created an access token, which the next read gets; until then it works for another %s", expiry.lifetime))
		if earlier != nil {
			c.warnUnlessRevoked(ctx, result, earlier.Token, "the access token of the last check could not be revoked: ")
		}
		return result, nil
	}
	c.warnUnlessRevoked(ctx, result, issued.token, "the access token of this check could not be revoked: ")
	if c.revocation == nil {
		result.Issued = c.credential(checked, 0)
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"this check created an access token that is not leased and works for another %s: the product cannot revoke it", expiry.lifetime))
	}
	return result, nil
}

// checkSpare is the check on a release that has issued its only token: it uses the token that the last check has obtained,
// and returns nil if there is none that works.
func (c *connection) checkSpare(ctx context.Context) *provider.CheckResult {
	spare := c.spares.peek(ctx)
	if spare == nil || spare.remaining(c.clock.Now()) < time.Second || c.api.verify(ctx, spare.Token) != nil {
		return nil
	}
	result := c.checkResult(spare)
	result.Warnings = append(result.Warnings,
		"the product issued no other access token, and the one of the last check works; whether client_secret is still valid is not known")
	return result
}

// checkResult describes a token that works.
func (c *connection) checkResult(token *spareToken) *provider.CheckResult {
	result := &provider.CheckResult{
		Identity: c.settings.clientID,
		Details: map[string]any{
			"client_id":             c.settings.clientID,
			"access_token_lifetime": token.Lifetime.String(),
			"lifetime_known_from":   token.Source,
		},
	}
	if token.Subject != "" {
		result.Identity = token.Subject
	}
	return result
}

// warnUnlessRevoked revokes a token if the config has a revoke_url, and adds a warning if that fails.
func (c *connection) warnUnlessRevoked(ctx context.Context, result *provider.CheckResult, token, warning string) {
	if err := c.revokeIfPossible(ctx, token); err != nil {
		result.Warnings = append(result.Warnings, warning+provider.ReaderText(err))
	}
}

// revokeIfPossible revokes the token of a check if the config has a revoke_url.
func (c *connection) revokeIfPossible(ctx context.Context, token string) error {
	if c.revocation == nil {
		return nil
	}
	return c.revokeToken(ctx, token)
}
