package fortianalyzer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Check opens a session, reads with it what instance this is, and logs it out.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	result := &provider.CheckResult{
		Identity: c.api.username,
		Details:  map[string]any{"client_id": c.api.clientID},
	}
	left, err := c.probe(ctx, func(made *opened) error {
		result.Warnings = append(result.Warnings, made.warnings...)
		status, err := c.api.status(ctx, made.session)
		switch {
		case err != nil:
			return err
		case status.denied():
			return status.failure(provider.ClassForbidden, "the login works, but its session may do nothing", remedyProfile)
		case status.code != codeOK:
			return status.unexpected()
		}
		describe(result, status.data)
		c.compareIdleTimeout(ctx, made.session, result)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if left != nil {
		result.Warnings = append(result.Warnings,
			"the session of this check could not be logged out and ends by its idle timeout: "+left.Error())
	}
	return result, nil
}

// describe tells what instance this is. The members are documented for FortiManager Cloud; that FortiAnalyzer
// Cloud has the same is inferred, so each may be missing.
func describe(result *provider.CheckResult, data json.RawMessage) {
	var members map[string]any
	if json.Unmarshal(data, &members) != nil {
		return
	}
	for detail, member := range map[string]string{
		"version": "Version", "hostname": "Hostname", "serial_number": "Serial Number", "platform_type": "Platform Type",
	} {
		if text, ok := members[member].(string); ok && text != "" {
			result.Details[detail] = text
		}
	}
}

// compareIdleTimeout reads the instance's own idle timeout, if the API user may, and warns when the config
// promises more. The member is the setting's name in the vendor's Ansible collection and Terraform provider.
func (c *connection) compareIdleTimeout(ctx context.Context, session string, result *provider.CheckResult) {
	answer, err := c.api.adminSettings(ctx, session)
	if err != nil || answer.code != codeOK {
		return // a courtesy: the right to read settings is not needed for anything else
	}
	var settings struct {
		IdleTimeoutAPI int64 `json:"idle_timeout_api"`
	}
	if json.Unmarshal(answer.data, &settings) != nil || settings.IdleTimeoutAPI <= 0 {
		return
	}
	result.Details["idle_timeout_api"] = settings.IdleTimeoutAPI
	theirs := time.Duration(settings.IdleTimeoutAPI) * time.Second
	if theirs < c.idle {
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"idle_timeout is %s, but the instance ends sessions that were not used for %s: leases would outlive their sessions; set idle_timeout=%s",
			c.idle, theirs, theirs))
	}
}
