package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
)

// events keeps what the engine sends, records and logs.
type events struct {
	// all are the types of all events, and kinds those that are not about a request or an ended credential.
	all, kinds []string
	metadata   []map[string]any
	// observed are the types of the observations.
	observed     []string
	observations []map[string]any
	log          bytes.Buffer
}

// routineEvents are about requests and ended credentials.
var routineEvents = []string{
	eventConfigWrite, eventConfigDelete, eventConfigCheck, eventConfigTidy, eventConfigAbandon, eventRoleWrite, eventRoleDelete,
	eventCredsCreate, eventCredsRenew, lease.EventRevoke,
}

func (e *events) SendEvent(_ context.Context, kind logical.EventType, event *logical.EventData) error {
	e.all, e.metadata = append(e.all, string(kind)), append(e.metadata, event.Metadata.AsMap())
	if !slices.Contains(routineEvents, strings.TrimSuffix(string(kind), "-fail")) || string(kind) == lease.EventRevokeFail {
		e.kinds = append(e.kinds, string(kind))
	}
	return nil
}

func (e *events) RecordObservationFromPlugin(_ context.Context, kind string, data map[string]any) error {
	e.observed, e.observations = append(e.observed, kind), append(e.observations, data)
	return nil
}

// lines returns the lines of the log with a message.
func (e *events) lines(t *testing.T, message string) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(e.log.String()) {
		var parsed map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &parsed))
		if parsed["@message"] == message {
			found = append(found, parsed)
		}
	}
	return found
}

// watchEvents keeps the events, the observations and the log of the mount from now on.
func (m *mount) watchEvents() *events {
	m.t.Helper()
	sent := &events{}
	require.NoError(m.t, m.backend.Setup(m.t.Context(), &logical.BackendConfig{
		Logger: hclog.New(&hclog.LoggerOptions{Output: &sent.log, Level: hclog.Debug, JSONFormat: true}),
		System: m.backend.System(), EventsSender: sent, ObservationRecorder: sent,
	}))
	return sent
}

func TestEvents_RevocationFailsThenSucceeds_AreSent(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	leased := m.read("ftd")
	sent := m.watchEvents()
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")
	require.NoError(t, m.revoke(leased))
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", DropAfter: true, Times: 1})
	m.rejected(http.StatusFailedDependency, logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, []string{lease.EventRevokeFail, lease.EventRevoke, lease.EventCreateUnknown, eventCredsCreate + "-fail"}, sent.all)
}

// requireLast requires the type and the metadata of the last event: what the policies and the filters of subscribers use,
// and further keys and values. An observation must have the same data.
func (e *events) requireLast(t *testing.T, kind, path, modified string, further ...string) {
	t.Helper()
	require.Equal(t, kind, e.all[len(e.all)-1])
	metadata := e.metadata[len(e.metadata)-1]
	require.Equal(t, path, metadata[logical.EventMetadataPath])
	require.Equal(t, path, metadata[logical.EventMetadataDataPath])
	require.Equal(t, modified, metadata[logical.EventMetadataModified])
	require.Equal(t, strings.TrimPrefix(kind, eventPrefix), metadata[logical.EventMetadataOperation])
	for pair := range slices.Chunk(further, 2) {
		require.Equal(t, pair[1], metadata[pair[0]], pair[0])
	}
	require.Equal(t, e.all, e.observed)
	for key, value := range metadata {
		if key != logical.EventMetadataPath { // with a request, Vault's SDK sets the path of the request
			require.Equal(t, value, e.observations[len(e.observations)-1][key], key)
		}
	}
}

func TestEvents_ConfigOperations_HaveVaultsForm(t *testing.T) {
	m := newMount(t)
	sent := m.watchEvents()
	m.writeConfig("trend", nil)
	sent.requireLast(t, eventConfigWrite, "config/trend", "true", "config", "trend")
	m.must(logical.UpdateOperation, "config/trend", map[string]any{"max_retries": 2})
	sent.requireLast(t, eventConfigWrite, "config/trend", "false")
	m.must(logical.PatchOperation, "config/trend", map[string]any{"max_retries": 3})
	sent.requireLast(t, eventConfigWrite, "config/trend", "true")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/trend", map[string]any{"max_retries": 99})
	sent.requireLast(t, eventConfigWrite+"-fail", "config/trend", "false", "status", "400")
	m.must(logical.UpdateOperation, "config/trend/check", nil)
	sent.requireLast(t, eventConfigCheck, "config/trend", "false")
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "trend", "role_name": "Auditor"})
	leased := m.read("reader")
	m.fault(emulator.Fault{Vendor: "trend", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("trend")
	for _, dryRun := range []any{true, "true"} { // the command line sends a string
		m.must(logical.UpdateOperation, "config/trend/tidy", map[string]any{"dry_run": dryRun})
		sent.requireLast(t, eventConfigTidy, "config/trend", "false")
	}
	m.must(logical.UpdateOperation, "config/trend/tidy", nil)
	sent.requireLast(t, eventConfigTidy, "config/trend", "true")
	m.rotate("trend")
	sent.requireLast(t, rotation.EventRotate, "config/trend", "true", "config", "trend")
}

func TestEvents_RoleAndCredential_HaveVaultsForm(t *testing.T) {
	m := newMount(t)
	m.writeConfig("trend", nil)
	sent := m.watchEvents()
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "trend", "role_name": "Auditor", "ttl": "10m"})
	sent.requireLast(t, eventRoleWrite, "roles/reader", "true", "role", "reader")
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "10m"})
	sent.requireLast(t, eventRoleWrite, "roles/reader", "false")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/reader", map[string]any{"unknown": 1})
	sent.requireLast(t, eventRoleWrite+"-fail", "roles/reader", "false", "status", "400")
	leased := m.read("reader")
	id := leased.data["credential_id"].(string)
	sent.requireLast(t, eventCredsCreate, "creds/reader", "true", "config", "trend", "role", "reader", "credential_id", id)
	m.clock.Advance(time.Minute)
	_, err := m.renew(leased, 0)
	require.NoError(t, err)
	sent.requireLast(t, eventCredsRenew, "creds/reader", "true", "config", "trend", "role", "reader", "credential_id", id)
	require.NoError(t, m.revoke(leased))
	sent.requireLast(t, lease.EventRevoke, "creds/reader", "true", "config", "trend", "role", "reader", "credential_id", id)
	_, err = m.renew(leased, 0)
	require.Error(t, err)
	sent.requireLast(t, eventCredsRenew+"-fail", "creds/reader", "false", "credential_id", id)
	m.rejected(http.StatusNotFound, logical.ReadOperation, "creds/missing", nil)
	sent.requireLast(t, eventCredsCreate+"-fail", "creds/missing", "false", "status", "404")
	m.must(logical.DeleteOperation, "roles/reader", nil)
	sent.requireLast(t, eventRoleDelete, "roles/reader", "true")
	m.must(logical.DeleteOperation, "config/trend", nil)
	sent.requireLast(t, eventConfigDelete, "config/trend", "true")

	count := len(sent.all)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/..%2fx", map[string]any{"vendor": "trend"})
	m.must(logical.ReadOperation, "info", nil)
	require.Len(t, sent.all, count, "a path that can name no object, and a request that only reads")
	require.NotContains(t, sent.log.String(), leased.data["token"])
}

// A request that changes nothing says so, in its event and in the log. Each is sent twice; first is what the event of the
// first one says.
func TestEvents_NothingChanges_AreUnmodified(t *testing.T) {
	m := newMount(t)
	m.writeConfig("trend", nil)
	m.must(logical.UpdateOperation, "roles/reader", map[string]any{"config": "trend", "role_name": "Auditor"})
	m.configure("ftd", nil)
	m.read("ftd")
	sent := m.watchEvents()
	respelled := "\n" + m.configData("trend", nil)["ca_cert"].(string)
	for _, test := range []struct {
		operation logical.Operation
		path      string
		data      map[string]any
		first     string
		event, of string
		message   string
	}{
		{logical.DeleteOperation, "roles/gone", nil, "false", eventRoleDelete, "roles/gone", "role deleted"},
		{logical.DeleteOperation, "config/gone", nil, "false", eventConfigDelete, "config/gone", "config deleted"},
		{logical.DeleteOperation, "config/gone", map[string]any{"force": "true"}, "false", eventConfigDelete, "config/gone", "config deleted"},
		{logical.DeleteOperation, "config/ftd", map[string]any{"force": true}, "true", eventConfigDelete, "config/ftd", "config deleted"},
		{logical.UpdateOperation, "config/trend", map[string]any{"max_retries": 7}, "true", eventConfigWrite, "config/trend", "config written"},
		{logical.PatchOperation, "config/trend", map[string]any{"max_retries": 8}, "true", eventConfigWrite, "config/trend", "config written"},
		{logical.UpdateOperation, "roles/reader", map[string]any{"ttl": "10m"}, "true", eventRoleWrite, "roles/reader", "role written"},
		{logical.PatchOperation, "roles/reader", map[string]any{"ttl": "20m"}, "true", eventRoleWrite, "roles/reader", "role written"},
		{logical.UpdateOperation, "trust/trend", map[string]any{"ca_cert": respelled}, "true", eventConfigWrite, "config/trend", "trust of a config written"},
		{logical.UpdateOperation, "config/trend/tidy", nil, "false", eventConfigTidy, "config/trend", "config tidied"},
		{logical.DeleteOperation, "roles/reader", nil, "true", eventRoleDelete, "roles/reader", "role deleted"},
		{logical.DeleteOperation, "config/trend", nil, "true", eventConfigDelete, "config/trend", "config deleted"},
	} {
		m.must(test.operation, test.path, test.data)
		sent.requireLast(t, test.event, test.of, test.first)
		logged := len(sent.lines(t, test.message+", nothing changed"))
		m.must(test.operation, test.path, test.data)
		sent.requireLast(t, test.event, test.of, "false")
		require.Len(t, sent.lines(t, test.message+", nothing changed"), logged+1, "%s of %s", test.operation, test.path)
	}
}

// The log names who changed what, and each operation on a credential with its latency.
func TestLog_EveryOperation_NamesWhoAndWhat(t *testing.T) {
	m := newMount(t)
	sent := m.watchEvents()
	send := func(operation logical.Operation, path string, data map[string]any) *logical.Response {
		t.Helper()
		response, err := m.backend.HandleRequest(t.Context(), &logical.Request{
			Operation: operation, Path: path, Data: data, Storage: m.storage, ID: "request-1", EntityID: "entity-1", DisplayName: "oidc-alice\nx",
		})
		require.NoError(t, err)
		require.False(t, response.IsError())
		return response
	}
	data := m.configData("trend", map[string]any{"max_retries": 1})
	send(logical.UpdateOperation, "config/trend", data)
	written := sent.lines(t, "config written")
	require.Len(t, written, 1)
	for key, value := range map[string]any{
		"@level": "info", "config": "trend", "entity_id": "entity-1", "request_id": "request-1", "operation": "update",
	} {
		require.Equal(t, value, written[0][key], key)
	}
	require.NotContains(t, written[0]["display_name"], "\n")
	require.Contains(t, written[0]["fields"], "api_key,")
	require.NotContains(t, sent.log.String(), data["api_key"], "names of fields only")

	send(logical.UpdateOperation, "roles/reader", map[string]any{"config": "trend", "role_name": "Auditor"})
	require.Equal(t, "config,role_name", sent.lines(t, "role written")[0]["fields"])
	send(logical.UpdateOperation, "config/trend/rotate-root", nil)
	require.Equal(t, "entity-1", sent.lines(t, "root credential rotated on request")[0]["entity_id"])
	m.rememberRotatedSecrets("trend")

	leased := m.read("reader")
	m.clock.Advance(time.Minute)
	_, err := m.renew(leased, 0)
	require.NoError(t, err)
	require.NoError(t, m.revoke(leased))
	for _, message := range []string{"credential issued", "credential renewed", "lease revoked"} {
		lines := sent.lines(t, message)
		require.Len(t, lines, 1, message)
		require.Equal(t, "debug", lines[0]["@level"])
		require.Equal(t, leased.data["credential_id"], lines[0]["credential_id"])
		_, err := time.ParseDuration(lines[0]["latency"].(string))
		require.NoError(t, err, message)
	}
}
