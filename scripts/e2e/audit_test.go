package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// auditLine is what the test reads of one entry of Vault's audit log.
type auditLine struct {
	Type    string `json:"type"`
	Request struct {
		ID   string `json:"id"`
		Path string `json:"path"`
	} `json:"request"`
	Response struct {
		Data map[string]any `json:"data"`
	} `json:"response"`
}

// auditedResponse returns the audit log's entry for the answer to the last request of a path.
func auditedResponse(t *testing.T, file, path string) auditLine {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var found auditLine
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(nil, len(content)+1)
	for scanner.Scan() {
		var line auditLine
		require.NoError(t, json.Unmarshal(scanner.Bytes(), &line))
		if line.Type == "response" && line.Request.Path == path {
			found = line
		}
	}
	require.NoError(t, scanner.Err())
	require.NotEmpty(t, found.Request.ID, "the audit log has no response for %s", path)
	return found
}

// requireLogged waits for a line of Vault's log that contains all texts.
func requireLogged(t *testing.T, texts ...string) {
	t.Helper()
	require.Eventually(t, func() bool {
		content, err := os.ReadFile(server.VaultLog())
		require.NoError(t, err)
		for line := range strings.Lines(string(content)) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return true
			}
		}
		return false
	}, 10*time.Second, 50*time.Millisecond, "no line of the log contains %q", texts)
}

// The audit log, the plugin's log and the inventory name a credential and a request alike.
func TestAudit_CredentialID_JoinsTheLogs(t *testing.T) {
	client, mountPath := reset(t)
	file := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, client.Sys().EnableAuditWithOptionsWithContext(t.Context(), mountPath, &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": file},
	}))
	t.Cleanup(func() { require.NoError(t, client.Sys().DisableAudit(mountPath)) })
	keys := []string{"credential_id", "expires_at", "vendor"}
	_, err := client.Logical().WriteWithContext(t.Context(), "sys/mounts/"+mountPath+"/tune", map[string]any{"audit_non_hmac_response_keys": keys})
	require.NoError(t, err)

	write(t, client, mountPath+"/config/main", configFields(t, "trend"))
	requireLogged(t, "[INFO]", "config written", "config=main", "request_id="+auditedResponse(t, file, mountPath+"/config/main").Request.ID)
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "role_name": "Auditor", "ttl": "10m"})
	leased := read(t, client, mountPath+"/creds/app")
	id := fmt.Sprint(leased.Data["credential_id"])
	audited := auditedResponse(t, file, mountPath+"/creds/app")
	require.Equal(t, id, audited.Response.Data["credential_id"])
	require.Equal(t, "trend", audited.Response.Data["vendor"])
	require.Contains(t, audited.Response.Data["token"], "hmac-")
	requireLogged(t, "[DEBUG]", "credential issued", "credential_id="+id, "request_id="+audited.Request.ID, "latency=", "s")

	_, err = client.Sys().RenewWithContext(t.Context(), leased.LeaseID, 600)
	require.NoError(t, err)
	requireLogged(t, "[DEBUG]", "credential renewed", "credential_id="+id)
	revokeLease(t, client, leased.LeaseID)
	requireLogged(t, "[DEBUG]", "lease revoked", "credential_id="+id)
}
