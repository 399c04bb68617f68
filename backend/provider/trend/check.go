package trend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// expiryNotice is how long before its end a management key's expiry is warned of.
const expiryNotice = 14 * 24 * time.Hour

// Check asks the manager who the management key is. A person wants to know, so it asks even if the key was
// refused a moment ago.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	if c.root.once != nil {
		return nil, c.checkUsable(opCurrent)
	}
	own, err := c.api.current(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	c.refusals.Reset()
	result := &provider.CheckResult{Identity: own.KeyName, Details: details(own)}
	if own.expires() {
		result.RootExpiresAt = c.api.clock.toLocal(time.UnixMilli(*own.ExpiryDate))
		if left := result.RootExpiresAt.Sub(c.clock.Now()); left < expiryNotice {
			result.Warnings = append(result.Warnings, fmt.Sprintf(
				"the management key expires at %s and cannot extend itself: move its expiry at the manager, or write another key to config/%s",
				result.RootExpiresAt.Format(time.RFC3339), c.api.config))
		}
	}
	if c.root.apiKeyID != 0 && c.root.apiKeyID != own.ID {
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"%s in config/%s is %d, but %s is of the key %d: correct %s", fieldAPIKeyID, c.api.config, c.root.apiKeyID, fieldAPIKey, own.ID, fieldAPIKeyID))
	}
	return result, nil
}

// details tells what the manager says of the key. All but the first two may be missing.
func details(own *currentKey) map[string]any {
	found := map[string]any{"api_key_id": own.ID, "role_id": own.RoleID}
	for name, value := range map[string]string{
		"role_urn": own.RoleURN, "tenant_guid": own.TenantGUID, "cloud_one_account_id": own.CloudOneAccountID,
	} {
		if value != "" {
			found[name] = value
		}
	}
	var tenant int64
	if json.Unmarshal(own.TenantID, &tenant) == nil && tenant != 0 {
		found["tenant_id"] = tenant
	}
	return found
}
