package fortisiem

import (
	"context"
	"fmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Check requests an access token with the client credentials and reads with it. It waits for the rate limit like
// every other token request. It revokes the token if the config has a revoke_url. Otherwise, the result contains a
// warning with the token's lifetime.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	issued, err := c.exchange(ctx)
	if err != nil {
		return nil, err
	}
	expiry, expiryErr := issued.expiry(c.settings.unit)
	verifyErr := c.api.verify(ctx, issued.token)
	revokeErr := c.revokeIfPossible(ctx, issued.token)
	if verifyErr != nil {
		return nil, verifyErr
	}
	if expiryErr != nil {
		return nil, expiryErr
	}
	result := &provider.CheckResult{
		Identity: c.settings.clientID,
		Details: map[string]any{
			"client_id":             c.settings.clientID,
			"access_token_lifetime": expiry.lifetime.String(),
			"lifetime_known_from":   expiry.source,
		},
	}
	if issued.claims.subject != "" {
		result.Identity = issued.claims.subject
	}
	switch {
	case revokeErr != nil:
		result.Warnings = append(result.Warnings, "the access token of this check could not be revoked: "+revokeErr.Error())
	case c.revocation == nil:
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"this check created an access token that is not leased and works for another %s: the product cannot revoke it", expiry.lifetime))
	}
	return result, nil
}

// revokeIfPossible revokes the token of a check if the config has a revoke_url.
func (c *connection) revokeIfPossible(ctx context.Context, token string) error {
	if c.revocation == nil {
		return nil
	}
	return c.revokeToken(ctx, token)
}
