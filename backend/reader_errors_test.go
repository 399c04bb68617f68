package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// vendorWords is a text that a vendor's answer has and that no reader of a credential must see.
const vendorWords = "canary words of the product"

// eventLog keeps the events of a mount as text. It is safe for concurrent use.
type eventLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (e *eventLog) SendEvent(_ context.Context, kind logical.EventType, data *logical.EventData) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	fmt.Fprintln(&e.text, kind, data.String())
	return nil
}

func (e *eventLog) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.String()
}

// logEvents keeps the events of the mount from now on, and its log as before.
func (m *mount) logEvents(sent *eventLog) {
	m.t.Helper()
	require.NoError(m.t, m.backend.Setup(m.t.Context(), &logical.BackendConfig{
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m}), System: m.system, StorageView: m.storage, EventsSender: sent,
	}))
}

// refuse makes the vendor answer every request with this text.
func (m *mount) refuse(vendor, text string) {
	m.t.Helper()
	body := `{"fault":{"reason":"` + vendorWords + " " + text + `, that is all"}}`
	m.fault(emulator.Fault{Vendor: vendor, Route: "*", Status: http.StatusBadRequest, Body: &body})
}

// requireNoPart requires that a text holds no long part of an encoded secret. What the encoding of another secret has
// too is no part of it.
func requireNoPart(t *testing.T, where, text, encoded, other string) {
	t.Helper()
	const part = 24 // an encoding may take more than ten characters for one
	for i := 0; i+part <= len(encoded); i++ {
		if strings.Contains(text, encoded[i:i+part]) && !strings.Contains(other, encoded[i:i+part]) {
			t.Errorf("%s has %q", where, encoded[i:i+part])
			return
		}
	}
}

// Every vendor answers with its root secret in every encoding. It appears in no answer, log line, event or metric. The
// product's own words appear where operators look, and not in what readers of credentials get.
func TestReaders_VendorQuotesTheRootSecret_IsNowhere(t *testing.T) {
	for _, vendor := range []string{"fortianalyzer", "fortisiem", "ftd", "lacework", "trend"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			m.configure(vendor, roleOf(vendor))
			held := m.read(vendor)
			var secrets []string
			for field, value := range m.vendors.State().Vendors[vendor].Credentials {
				if m.backend.sensitive[field] {
					secrets = append(secrets, value)
				}
			}
			require.NotEmpty(t, secrets)
			for name, encode := range providertest.Encodings {
				logged := len(m.logText())
				m.restart() // the vendor is asked again
				sent := &eventLog{}
				m.logEvents(sent)
				encoded := encode(strings.Join(secrets, " "))
				other := encode(strings.Repeat("0123 ", len(encoded)))
				m.refuse(vendor, encoded)
				seen := m.refusedTexts(t, vendor, held)
				m.vendors.ClearFaults(vendor)
				for where, text := range map[string]string{"an answer": seen, "the log": m.logText()[logged:], "an event": sent.String()} {
					requireNoPart(t, where+", "+name, text, encoded, other)
				}
				m.requireNoSecretLogged()
			}
			require.Contains(t, m.logText(), vendorWords, "the log has what the product said")
		})
	}
}

// roleOf returns the fields of a role that every vendor accepts.
func roleOf(vendor string) map[string]any {
	role := map[string]any{"ttl": "10m", "sharing": "exclusive"}
	if vendor == "trend" {
		role["role_name"] = "Auditor"
	}
	return role
}

// refusedTexts sends each request that a vendor refuses, and returns the errors together with what an operator reads.
func (m *mount) refusedTexts(t *testing.T, vendor string, held *vaultLease) string {
	t.Helper()
	var seen strings.Builder
	reader := func(what string, err error) {
		if err == nil {
			return // the vendor was not asked
		}
		assert.NotContains(t, err.Error(), "canary", what)
		fmt.Fprintln(&seen, err)
	}
	_, _, err := m.request(logical.ReadOperation, "creds/"+vendor, nil)
	require.Error(t, err)
	assert.ErrorContains(t, err, "_id ")
	reader("read", err)
	_, err = m.renew(held, 0)
	reader("renew", err)
	reader("revoke", m.revoke(held))
	_, _, err = m.request(logical.UpdateOperation, "config/"+vendor, map[string]any{"request_timeout": "31s"})
	reader("config write", err)
	_, _, err = m.request(logical.UpdateOperation, "config/"+vendor+"/check", nil)
	fmt.Fprintln(&seen, err)
	for _, path := range []string{"config/" + vendor + "/check", "config/" + vendor, "metrics"} {
		response, _, err := m.request(logical.ReadOperation, path, nil)
		fmt.Fprintln(&seen, response, err)
	}
	response, _, err := m.request(logical.ListOperation, "config/"+vendor+"/credentials", nil)
	encoded, encodeErr := json.Marshal(response)
	require.NoError(t, encodeErr)
	fmt.Fprintln(&seen, string(encoded), err)
	return seen.String()
}

func TestReaders_RefusedRead_HasClassRemedyAndReference(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.refuse("trend", "no")
	text := m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/trend", nil,
		`role "trend"`, `config "trend"`, "the vendor answered 400 Bad Request", "invalid", "request_id test-request")
	require.NotContains(t, text, "canary")
	line := m.logLine("a request for a credential failed")
	require.Contains(t, line, vendorWords)
	require.Contains(t, line, "request_id=test-request")
	require.Contains(t, line, "[WARN]")
}

func TestReaders_LostAnswer_NamesTheCredential(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	body := vendorWords
	m.fault(emulator.Fault{Vendor: "trend", Route: "createApiKey", Status: http.StatusBadGateway, Body: &body})
	text := m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/trend", nil, "ambiguous", "is searched by its keyName")
	require.NotContains(t, text, "canary")
	id := m.ledgerOf("trend")[0]
	require.Contains(t, text, "credential_id "+id)
	require.Contains(t, m.logLine("a request for a credential failed"), "credential_id="+id)
	require.Contains(t, m.credentialsOf("trend")[id].(map[string]any)["last_error"], vendorWords)
}

func TestReaders_FailedRevocation_NamesTheCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.refuse("ftd", "no")
	err := m.revoke(leased)
	id := leased.data["credential_id"].(string)
	require.ErrorContains(t, err, "credential_id "+id)
	require.NotContains(t, err.Error(), "canary")
	described := m.credentialsOf("ftd")[id].(map[string]any)
	require.Contains(t, described["last_error"], vendorWords)
	require.Contains(t, m.logLine("a revocation failed"), "credential_id="+id)
}

func TestReaders_OwnRefusal_IsNoWarningInTheLog(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"max_credentials": 1})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "10m"})
	m.read("ftd")
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil, "1 of 1", "capacity", "request_id")
	require.Contains(t, m.logLine("a request for a credential failed"), "[DEBUG]", "the answer has said everything")
}

// Text that a vendor chooses cannot forge a line of the log or control a terminal, wherever it appears.
func TestVendorText_ControlCharacters_AreRemoved(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", map[string]any{"ttl": "10m"})
	hostile := "eve\r\n2026-01-02T03:04:05Z [INFO] forged: \x1b[31m" + strings.Repeat("x", 2000)
	profile, err := json.Marshal(map[string]any{"data": []any{map[string]any{"username": hostile, "url": hostile}}})
	require.NoError(t, err)
	body := string(profile)
	m.fault(emulator.Fault{Vendor: "lacework", Route: "*UserProfile*", Status: http.StatusOK, Body: &body})
	checked := m.must(logical.UpdateOperation, "config/lacework/check", nil).Data
	for _, text := range []any{checked["identity"], checked["details"].(map[string]any)["url"]} {
		require.Contains(t, text, "forged")
		require.NotContains(t, text, "\n")
		require.NotContains(t, text, "\x1b")
		require.LessOrEqual(t, len([]rune(text.(string))), 301)
	}
}

// logLine returns the last line of the log with this text.
func (m *mount) logLine(text string) string {
	m.t.Helper()
	lines := strings.Split(m.logText(), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if strings.Contains(lines[i], text) {
			return lines[i]
		}
	}
	require.Failf(m.t, "not logged", "%q", text)
	return ""
}

// credentialsOf returns the inventory of a config by credential.
func (m *mount) credentialsOf(config string) map[string]any {
	m.t.Helper()
	info, _ := m.must(logical.ListOperation, "config/"+config+"/credentials", nil).Data["key_info"].(map[string]any)
	return info
}

// A plugin sends its lines to Vault as JSON, in which a duration without a unit is a number of nanoseconds.
func TestLog_Durations_HaveUnits(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.clock.Advance(24 * time.Hour) // a gap in the heartbeat
	m.restart()
	require.NoError(t, m.backend.Setup(t.Context(), &logical.BackendConfig{
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: m, JSONFormat: true}), System: m.system, StorageView: m.storage,
	}))
	m.resetRotatedSecrets() // and the log
	m.read("ftd")
	m.runPeriodic()
	var durations []any
	for line := range strings.Lines(m.logText()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		for name, value := range fields {
			if number, ok := value.(float64); ok {
				assert.Less(t, number, 1e6, "%s: %s", name, line)
			}
		}
		if duration, ok := fields["duration"]; ok {
			durations = append(durations, duration)
		}
	}
	require.NotEmpty(t, durations)
	for _, duration := range durations {
		require.Regexp(t, `^[0-9.]+(ms|s)$|^0s$`, duration)
	}
}

// A plugin's log is JSON on its way to Vault, where a type with a name of its own keeps its number.
func TestReaderError_LogAsJSON_NamesTheClass(t *testing.T) {
	m := newMount(t)
	m.configure("lacework", nil)
	require.NoError(t, m.backend.Setup(t.Context(), &logical.BackendConfig{
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: m, JSONFormat: true}), System: m.system, StorageView: m.storage,
	}))
	m.fault(emulator.Fault{Vendor: "lacework", Route: "*", Status: http.StatusForbidden})
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/lacework", nil, "forbidden")
	for line := range strings.Lines(m.logText()) {
		if strings.Contains(line, "a request for a credential failed") {
			require.Contains(t, line, `"class":"forbidden"`)
			return
		}
	}
	require.Fail(t, "not logged", m.logText())
}
