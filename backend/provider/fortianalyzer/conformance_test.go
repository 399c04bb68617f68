package fortianalyzer

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// suiteIdleTimeout is the lifetime that the suite asks for: a session's life cannot be asked for, so instance
// and config are set to it.
const suiteIdleTimeout = 3 * time.Hour

// suited is the provider on configs of that idle timeout.
type suited struct{ provider.Provider }

func (s suited) Open(config provider.Config) (provider.Connection, error) {
	fields := *config.Fields
	fields.Raw = maps.Clone(fields.Raw)
	fields.Raw[fieldIdleTimeout] = suiteIdleTimeout.String()
	config.Fields = &framework.FieldData{Raw: fields.Raw, Schema: fields.Schema}
	return s.Provider.Open(config)
}

// longIdle is the twin with that idle timeout from the start.
func longIdle() emulator.Vendor {
	described := twin.New()
	for i := range described.Switches {
		if described.Switches[i].Name == "idle_timeout" {
			described.Switches[i].Default = suiteIdleTimeout.String()
		}
	}
	return described
}

// switched is a variant of switches, given as name and value in turn.
func switched(nameAndValue ...string) providertest.Variant {
	variant := providertest.Variant{Switches: map[string]string{}}
	for i := 0; i < len(nameAndValue); i += 2 {
		variant.Switches[nameAndValue[i]] = nameAndValue[i+1]
		if variant.Name != "" {
			variant.Name += ", "
		}
		variant.Name += nameAndValue[i] + " " + nameAndValue[i+1]
	}
	return variant
}

// refusing is a variant in which a refused root credential has another class.
func refusing(class provider.Class, nameAndValue ...string) providertest.Variant {
	variant := switched(nameAndValue...)
	variant.RefusedRoot = class
	return variant
}

func TestConformance(t *testing.T) { suite().Run(t) }

// suite describes the vendor to the conformance suite.
func suite() providertest.Suite {
	return providertest.Suite{
		New:       func() provider.Provider { return suited{New()} },
		Twin:      longIdle(),
		Create:    logIn,
		Required:  []string{fieldUsername, fieldPassword},
		WrongRoot: map[string]any{fieldPassword: "not-the-password-of-the-api-user"},
		Use:       use,
		Unlimited: map[string]string{"login_max": "0"},
		Variants: []providertest.Variant{
			switched("client_id_case", "ignored"),
			switched("bad_credentials_status", "400"),
			switched("bad_credentials_status", "200"),
			switched("oauth_error_shape", "oauth"),
			switched("oauth_error_shape", "plain"),
			// An answer that promises success and cannot be read is no refusal.
			refusing(provider.ClassUnavailable, "oauth_error_shape", "plain", "bad_credentials_status", "200"),
			switched("token_expires_in", "14400"),
			switched("single_active_token", "no"),
			switched("login_failure_status", "403"),
			switched("login_failure_status", "400"),
			switched("login_failure_status", "200"),
			switched("login_error_shape", "oauth"),
			switched("login_error_shape", "oauth", "login_failure_status", "200"),
			switched("login_error_shape", "empty_session"),
			switched("login_error_shape", "empty_session", "login_failure_status", "200"),
			switched("login_error_shape", "html"),
			switched("login_error_shape", "html", "login_failure_status", "200"),
			switched("permission_checked_at", "login"),
			switched("at_login_max", "evict_oldest"),
			switched("absolute_life", "24h"),
			switched("failing_calls_refresh", "yes"),
			switched("logout_needs_permission", "yes"),
			switched("status_data", "absent"),
			switched("settings_readable", "no"),
			switched("portal_change_ends_sessions", "yes"),
		},
	}
}

// use reads the system status, as an application would read anything.
func use(ctx context.Context, client *http.Client, credential *provider.Credential) (bool, error) {
	content, err := json.Marshal(map[string]any{
		"id": 1, "method": "get", "params": []any{map[string]any{"url": "/cli/global/system/status"}}, "session": credential.Token,
	})
	if err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, credential.Data["url"].(string), bytes.NewReader(content))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = answer.Body.Close() }()
	var envelope rpcEnvelope
	if err := json.NewDecoder(answer.Body).Decode(&envelope); err != nil {
		return false, err
	}
	return *envelope.Result[0].Status.Code == codeOK, nil
}
