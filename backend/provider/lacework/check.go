package lacework

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// checkLifetime is the shortest lifetime that a published client requests. The product's minimum is not documented.
	checkLifetime = 60 * time.Second

	// fallbackCheckLifetime is the documented default. A check requests it if checkLifetime may be below the minimum.
	fallbackCheckLifetime = 3600 * time.Second
)

// Check issues a token with the shortest lifetime and reads the user profile with it.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	lifetime := checkLifetime
	issued, err := c.api.issueToken(ctx, lifetime)
	if httpclient.StatusOf(err) == http.StatusBadRequest {
		// Either the key is wrong, or the lifetime is below an undocumented minimum. A second request with the default
		// lifetime shows which.
		lifetime = fallbackCheckLifetime
		issued, err = c.api.issueToken(ctx, lifetime)
	}
	if err != nil {
		return nil, err
	}
	checked := &provider.CheckResult{
		Identity: c.keyID,
		Details:  map[string]any{"key_id": c.keyID},
		Warnings: []string{fmt.Sprintf("this check created a token that works for another %s: the product cannot revoke it", lifetime)},
	}
	if end, err := issued.expiry(lifetime); err == nil {
		checked.Issued = c.credential(issued, end)
	}
	profile, err := c.api.userProfile(ctx, issued.token)
	switch {
	case provider.ClassOf(err) == provider.ClassForbidden:
		// The issued token proves that the key works. The engine does not need the permission to read a profile.
		checked.Warnings = append(checked.Warnings, "the key works, but its user has no permission to read the user profile")
	case err != nil:
		return checked, err
	case profile != nil:
		if profile.Username != "" {
			checked.Identity = profile.Username
		}
		checked.Details["url"] = profile.URL
		checked.Details["org_account"] = profile.OrgAccount
		checked.Details["org_admin"] = profile.OrgAdmin
		checked.Details["accounts"] = len(profile.Accounts)
	}
	return checked, nil
}
