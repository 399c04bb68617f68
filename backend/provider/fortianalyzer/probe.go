package fortianalyzer

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

var (
	_ provider.Prober    = vendor{}
	_ provider.User      = (*connection)(nil)
	_ provider.Inspector = (*connection)(nil)
)

// memberCode is the place of the result's code in an answer.
const memberCode = "result.0.status.code"

// ProbeFacts implements [provider.Prober].
func (vendor) ProbeFacts() []provider.Fact {
	return []provider.Fact{
		{
			Step: provider.StepLogin, Name: "token_expires_in", Status: provider.FactUnknown,
			Contract: "The life of an access token in seconds, if the login needed one: the sources show 3600, 3660 and 14400.",
			Observe:  provider.ObserveMember("oauth/token", "expires_in"),
		},
		{
			Step: provider.StepLogin, Name: "settings_readable", Status: provider.FactInferred, Contract: "A session may read idle_timeout_api.",
			Observe: provider.ObserveMember("get /cli/global/system/admin/setting", memberCode), Expected: []string{"0"},
		},
		{
			Step: provider.StepLogin, Name: "idle_timeout", Status: provider.FactInferred, Contract: "idle_timeout_api is 900 seconds by default.",
			Observe: provider.ObserveMember("get /cli/global/system/admin/setting", "result.0.data.idle_timeout_api"), Expected: []string{"900"},
		},
		{
			Step: provider.StepIssue, Name: "login_status", Status: provider.FactConfirmed, Contract: "A login is answered with 200.",
			Observe: provider.ObserveStatus("forticloud_jsonrpc_login"), Expected: []string{"200"},
		},
		{
			Step: provider.StepInspect, Name: "status_data", Status: provider.FactInferred, Contract: "/sys/status answers with data.",
			Observe: provider.ObserveInspected("status_data"), Expected: []string{"present"},
		},
		{
			Step: provider.StepUseRevoked, Name: "ended_session_code", Status: provider.FactConfirmed, Contract: "A session that has ended gets the code -11.",
			Observe: provider.ObserveMember("get /sys/status", memberCode), Expected: []string{"-11"},
		},
		{
			Step: provider.StepUseRevoked, Name: "ended_session_status", Status: provider.FactInferred, Contract: "Its HTTP status is 200.",
			Observe: provider.ObserveStatus("get /sys/status"), Expected: []string{"200"},
		},
		{
			Step: provider.StepRevokeAgain, Name: "second_logout_code", Status: provider.FactUnknown, Contract: "The code of a second logout.",
			Observe: provider.ObserveMember("exec /sys/logout", memberCode),
		},
	}
}

// Use implements [provider.User]. It reads the system status with the session.
func (c *connection) Use(ctx context.Context, credential *provider.Credential) (bool, error) {
	result, err := c.api.status(ctx, credential.Token)
	switch {
	case err != nil:
		return false, err
	case result.denied():
		return false, nil
	case result.code != codeOK:
		return false, result.unexpected()
	}
	return true, nil
}

// Inspect implements [provider.Inspector]. It reads the instance's version with the session.
func (c *connection) Inspect(ctx context.Context, credential *provider.Credential) (map[string]string, error) {
	result, err := c.api.status(ctx, credential.Token)
	if err != nil {
		return nil, err
	}
	var status struct {
		Version  string `json:"Version"`
		Platform string `json:"Platform Type"`
	}
	facts := map[string]string{"status_data": "absent"}
	if json.Unmarshal(result.data, &status) == nil {
		facts["status_data"] = "present"
		facts[provider.InspectedProduct] = strings.TrimSpace(status.Platform + " " + status.Version)
	}
	return facts, nil
}
