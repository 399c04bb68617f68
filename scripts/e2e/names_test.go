package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// otherSpellings are ways to write the path of the role "admin" in a URL, below creds/. The first is the path itself,
// with an escaped letter.
var otherSpellings = []string{
	"%61dmin",
	"Admin", "ADMIN", "aDMIN", "admin/", "admin//", "/admin", "./admin", "x/../admin", "admin/.", "admin/x/..", "admin%2F", "%2Fadmin", "admin%00",
	"admin%20", "%20admin", "admin+", "admin%0A", "admin.", ".admin", "admin..", "%2E%2Fadmin", "ADM%C4%B0N", "%EF%BD%81dmin", "adm%C4%B1n",
	"admin;x=y", "admin%3Fx=y", "admin%23", "admin%25", "admin%252F", "admin*", "admin?list=true", "admin?role=admin", "x?role=admin", "Admin?role=admin",
}

// rawGet sends a path exactly as it is written, and follows Vault's redirects to cleaned paths. It returns the status and
// the body of the answer.
func rawGet(t *testing.T, client *api.Client, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, client.Address()+"/v1/"+path, nil)
	require.NoError(t, err)
	req.Header.Set("X-Vault-Token", client.Token())
	following := *client.CloneConfig().HttpClient
	following.CheckRedirect = nil
	response, err := following.Do(req)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}

// limitedClient returns a client whose token has only this policy.
func limitedClient(t *testing.T, client *api.Client, name, policy string) *api.Client {
	t.Helper()
	require.NoError(t, client.Sys().PutPolicyWithContext(t.Context(), name, policy))
	secret, err := client.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{Policies: []string{name}, TTL: "10m"})
	require.NoError(t, err)
	limited := vault(t)
	limited.SetToken(secret.Auth.ClientToken)
	return limited
}

// resetWithAdmin returns a mount with the roles "admin" and "app".
func resetWithAdmin(t *testing.T) (client *api.Client, mountPath string) {
	t.Helper()
	client, mountPath = reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	for _, role := range []string{"admin", "app"} {
		write(t, client, mountPath+"/roles/"+role, map[string]any{"config": "main", "ttl": "10m"})
	}
	return client, mountPath
}

func TestNames_PolicyDeniesARole_NoSpellingReadsIt(t *testing.T) {
	client, mountPath := resetWithAdmin(t)
	limited := limitedClient(t, client, mountPath, `
path "`+mountPath+`/creds/*" { capabilities = ["read", "list"] }
path "`+mountPath+`/creds/admin" { capabilities = ["deny"] }`)
	for _, spelling := range otherSpellings {
		status, body := rawGet(t, limited, mountPath+"/creds/"+spelling)
		require.GreaterOrEqual(t, status, 400, "%s: %s", spelling, body)
		require.Less(t, status, 500, "%s: %s", spelling, body)
	}
	require.Zero(t, live(t, "ftd", "leased"))
	read(t, limited, mountPath+"/creds/app")
}

func TestNames_QuotaOnARole_NoSpellingExceedsIt(t *testing.T) {
	client, mountPath := resetWithAdmin(t)
	quota := "sys/quotas/rate-limit/" + mountPath
	write(t, client, quota, map[string]any{"path": mountPath + "/creds/admin", "rate": 1, "interval": "1h"})
	t.Cleanup(func() {
		_, err := client.Logical().Delete(quota)
		require.NoError(t, err)
	})
	status, body := rawGet(t, client, mountPath+"/creds/admin")
	require.Equal(t, http.StatusOK, status, body)
	for _, spelling := range otherSpellings {
		status, body := rawGet(t, client, mountPath+"/creds/"+spelling)
		require.GreaterOrEqual(t, status, 400, "%s: %s", spelling, body)
		require.Less(t, status, 500, "%s: %s", spelling, body)
	}
	require.Equal(t, 1, live(t, "ftd", "leased"))
}

func TestNames_LeasesAreRevokedByPrefix_NoSpellingIsLeft(t *testing.T) {
	client, mountPath := resetWithAdmin(t)
	prefix := mountPath + "/creds/admin"
	for _, spelling := range otherSpellings {
		if status, body := rawGet(t, client, mountPath+"/creds/"+spelling); status == http.StatusOK {
			var secret api.Secret
			require.NoError(t, json.Unmarshal([]byte(body), &secret))
			require.True(t, strings.HasPrefix(secret.LeaseID, prefix+"/"), secret.LeaseID)
		}
	}
	require.Positive(t, live(t, "ftd", "leased"))
	require.NoError(t, client.Sys().RevokePrefixWithContext(t.Context(), prefix))
	require.Zero(t, live(t, "ftd", "leased"))

	// A role whose name differs in case is another role, and its leases have another prefix.
	write(t, client, mountPath+"/roles/Admin", map[string]any{"config": "main", "ttl": "10m"})
	other := read(t, client, mountPath+"/creds/Admin")
	require.NoError(t, client.Sys().RevokePrefixWithContext(t.Context(), prefix))
	require.Equal(t, 1, live(t, "ftd", "leased"))
	revokeLease(t, client, other.LeaseID)
}

func TestNames_CannotBeStored_AreRejectedWithAReason(t *testing.T) {
	client, mountPath := reset(t)
	for _, path := range []string{"/config/a..b", "/roles/a..b", "/config/-a", "/roles/a b", "/roles/a/b"} {
		_, err := client.Logical().WriteWithContext(t.Context(), mountPath+path, map[string]any{"vendor": "ftd"})
		status, text := statusOf(t, err)
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, "the name is invalid", path)
		read, err := client.Logical().ReadWithContext(t.Context(), mountPath+path)
		require.NoError(t, err)
		require.Nil(t, read, "404 for %s", path)
	}
}

// Vault's core writes "1 error occurred" around an error that a plugin returns.
func TestErrors_EveryStatus_HasAPlainBody(t *testing.T) {
	client, mountPath := resetWithAdmin(t)
	for range 3 {
		read(t, client, mountPath+"/creds/app")
	}
	for path, want := range map[string]int{
		"/creds/app": http.StatusConflict, "/creds/missing": http.StatusNotFound, "/creds/app?x=y": http.StatusBadRequest, "/no/such/path": http.StatusNotFound,
		"/config/main/tidy": http.StatusMethodNotAllowed,
	} {
		status, body := rawGet(t, client, mountPath+path)
		require.Equal(t, want, status, body)
		var decoded struct{ Errors []string }
		require.NoError(t, json.Unmarshal([]byte(body), &decoded), body)
		require.Len(t, decoded.Errors, 1, path)
		require.NotContains(t, decoded.Errors[0], "error occurred")
		require.NotContains(t, decoded.Errors[0], "\n")
	}
	// An error is no answer that Vault may wrap.
	client.SetWrappingLookupFunc(func(string, string) string { return "1m" })
	_, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/creds/app")
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusConflict, status, text)
}
