package fortianalyzer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Check opens a session, reads the system status of the instance with it, and logs it out. It uses the access token that
// the password has obtained before, if there is one: each password grant counts towards the lockout of the FortiCloud
// account. A config with another password sends that password.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	checked := &provider.CheckResult{
		Identity: c.api.username,
		Details:  map[string]any{"client_id": c.api.clientID},
	}
	logoutErr, err := c.probe(ctx, func(opened string) error {
		status, err := c.api.status(ctx, opened)
		switch {
		case err != nil:
			return err
		case status.denied():
			return status.noPermission()
		case status.code != codeOK:
			return status.unexpected()
		}
		addInstanceDetails(checked, status.data)
		c.compareIdleTimeout(ctx, opened, checked)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if logoutErr != nil {
		checked.Warnings = append(checked.Warnings,
			"the session of this check could not be logged out and ends by its idle timeout: "+provider.ReaderText(logoutErr))
	}
	return checked, nil
}

// addInstanceDetails adds the members of the system status that describe the instance. They are documented for
// FortiManager Cloud. That FortiAnalyzer Cloud has the same members is inferred, so each may be absent.
func addInstanceDetails(checked *provider.CheckResult, status json.RawMessage) {
	var members map[string]any
	if json.Unmarshal(status, &members) != nil {
		return
	}
	for detail, member := range map[string]string{
		"version": "Version", "hostname": "Hostname", "serial_number": "Serial Number", "platform_type": "Platform Type",
	} {
		if text, ok := members[member].(string); ok && text != "" {
			checked.Details[detail] = text
		}
	}
}

// compareIdleTimeout reads the instance's own idle timeout and adds a warning if the configured one is larger. The
// member has the name of the setting in the vendor's Ansible collection and Terraform provider. If the setting cannot
// be read, compareIdleTimeout does nothing: the engine needs that permission for nothing else.
func (c *connection) compareIdleTimeout(ctx context.Context, sessionID string, checked *provider.CheckResult) {
	result, err := c.api.adminSettings(ctx, sessionID)
	if err != nil || result.code != codeOK {
		return
	}
	var settings struct {
		IdleTimeoutAPI int64 `json:"idle_timeout_api"`
	}
	if json.Unmarshal(result.data, &settings) != nil || settings.IdleTimeoutAPI <= 0 {
		return
	}
	checked.Details["idle_timeout_api"] = settings.IdleTimeoutAPI
	actual := time.Duration(settings.IdleTimeoutAPI) * time.Second
	if actual < c.idle {
		checked.Warnings = append(checked.Warnings, fmt.Sprintf(
			"idle_timeout is %s, but the instance ends sessions that are not used for %s, so sessions can end before their leases; set idle_timeout=%s",
			c.idle, actual, actual))
	}
}
