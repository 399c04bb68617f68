package trend

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Check asks the manager to describe the management key. It ignores the back-off after a rejected key: an
// operator who has corrected the key at the manager needs the current result.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	if c.root.bootstrap != nil {
		return nil, c.checkUsable(opCurrent)
	}
	current, err := c.describeCurrent(ctx)
	if err != nil {
		return nil, c.classifyCurrent(err)
	}
	c.backoff.Reset()
	result := &provider.CheckResult{Identity: current.KeyName, Details: details(current)}
	result.Details["product"] = productOf(c.api.http.BaseURL())
	if current.expires() {
		result.RootExpiresAt = c.api.clock.toLocal(time.UnixMilli(*current.ExpiryDate))
		if remaining := result.RootExpiresAt.Sub(c.clock.Now()); remaining < provider.RootExpiryNotice {
			result.Warnings = append(result.Warnings, fmt.Sprintf(
				"the management key expires at %s and cannot extend itself: set a later expiry at the manager, or write another key to config/%s",
				result.RootExpiresAt.Format(time.RFC3339), c.api.config))
		}
	}
	if c.root.apiKeyID != 0 && c.root.apiKeyID != current.ID {
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"%[1]s in config/%[2]s is %[3]d, but the ID of the key in %[4]s is %[5]d: correct %[1]s",
			fieldAPIKeyID, c.api.config, c.root.apiKeyID, fieldAPIKey, current.ID))
	}
	return result, nil
}

// details returns the members that describe the management key. All but the ID and the role ID can be missing.
func details(current *currentKey) map[string]any {
	result := map[string]any{"api_key_id": current.ID, "role_id": current.RoleID}
	for name, value := range map[string]string{
		"role_urn": current.RoleURN, "tenant_guid": current.TenantGUID, "cloud_one_account_id": current.CloudOneAccountID,
	} {
		if value != "" {
			result[name] = value
		}
	}
	var tenantID int64
	if json.Unmarshal(current.TenantID, &tenantID) == nil && tenantID != 0 {
		result["tenant_id"] = tenantID
	}
	return result
}
