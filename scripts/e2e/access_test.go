package e2e

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// clientWith returns a client whose token has one policy.
func clientWith(t *testing.T, name, policy string) *api.Client {
	t.Helper()
	root := server.Client()
	require.NoError(t, root.Sys().PutPolicyWithContext(t.Context(), name, policy))
	created, err := root.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{Policies: []string{name}, TTL: "10m"})
	require.NoError(t, err)
	client := vault(t)
	client.SetToken(created.Auth.ClientToken)
	return client
}

func TestTrust_Policy_NeedsSudo(t *testing.T) {
	root, mountPath := reset(t)
	fields := configFields(t, "ftd")
	write(t, root, mountPath+"/config/edge", fields)
	write(t, root, mountPath+"/config/edge/rotate-root", nil)
	trust := map[string]any{"tls_server_name": "localhost"}

	writer := clientWith(t, mountPath+"-writer", fmt.Sprintf(`path "%s/*" { capabilities = ["create", "update", "patch", "read", "list", "delete"] }`, mountPath))
	_, err := writer.Logical().WriteWithContext(t.Context(), mountPath+"/trust/edge", trust)
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusForbidden, status, text)
	_, err = writer.Logical().WriteWithContext(t.Context(), mountPath+"/config/edge", trust)
	status, text = statusOf(t, err)
	require.Equal(t, http.StatusBadRequest, status, text)
	require.Contains(t, text, "password", "a config's writer must know the password")
	require.Empty(t, read(t, root, mountPath+"/config/edge").Data["tls_server_name"])

	privileged := clientWith(t, mountPath+"-trust", fmt.Sprintf(`path "%s/trust/*" { capabilities = ["update", "sudo"] }`, mountPath))
	write(t, privileged, mountPath+"/trust/edge", trust)
	require.Equal(t, "localhost", read(t, root, mountPath+"/config/edge").Data["tls_server_name"])
	_, err = privileged.Logical().WriteWithContext(t.Context(), mountPath+"/trust/edge", map[string]any{"tls_server_name": "other.example"})
	status, text = statusOf(t, err)
	require.Equal(t, http.StatusBadRequest, status, text)
	require.Equal(t, "localhost", read(t, root, mountPath+"/config/edge").Data["tls_server_name"])
	write(t, root, mountPath+"/roles/app", map[string]any{"config": "edge", "ttl": "1m", "max_ttl": "2m"})
	leased := read(t, root, mountPath+"/creds/app")
	revokeLease(t, root, leased.LeaseID)
}

// mountWith registers the plugin under another name and with another environment, and enables it.
func mountWith(t *testing.T, name, environment string) (mountPath string, err error) {
	t.Helper()
	client := server.Client()
	program, err := os.ReadFile(server.Nodes()[0].PluginPath())
	require.NoError(t, err)
	require.NoError(t, client.Sys().RegisterPluginWithContext(t.Context(), &api.RegisterPluginInput{
		Name: name, Type: api.PluginTypeSecrets, Command: devserver.PluginName, SHA256: fmt.Sprintf("%x", sha256.Sum256(program)), Env: []string{environment},
	}))
	t.Cleanup(func() {
		require.NoError(t, client.Sys().DeregisterPluginWithContext(context.Background(), &api.DeregisterPluginInput{Name: name, Type: api.PluginTypeSecrets}))
	})
	mountPath = "e2e-" + name
	err = client.Sys().MountWithContext(t.Context(), mountPath, &api.MountInput{Type: name})
	if err == nil {
		t.Cleanup(func() { require.NoError(t, client.Sys().UnmountWithContext(context.Background(), mountPath)) })
	}
	return mountPath, err
}

// The environment of a registration replaces Vault's own, in which the addresses of the emulators are listed.
func TestConfig_AddressNotListed_IsRefused(t *testing.T) {
	require.NoError(t, server.Control().Reset(t.Context()))
	mountPath, err := mountWith(t, "strict", "VENDORAUTH_ALLOW_ADDRESSES=192.0.2.7,198.51.100.0/24")
	require.NoError(t, err)
	for _, vendor := range []string{"ftd", "fortisiem", "fortianalyzer", "lacework", "trend"} {
		fields := configFields(t, vendor)
		for _, verify := range []bool{true, false} {
			fields["verify_connection"] = verify
			_, err := server.Client().Logical().WriteWithContext(t.Context(), mountPath+"/config/edge", fields)
			status, text := statusOf(t, err)
			require.Equal(t, http.StatusBadRequest, status, text)
			require.Contains(t, text, "a loopback address")
			require.Contains(t, text, "VENDORAUTH_ALLOW_ADDRESSES")
		}
		requests, err := server.Control().Requests(t.Context(), vendor)
		require.NoError(t, err)
		require.Empty(t, requests)
	}
	// Vault's own API is on loopback.
	fields := configFields(t, "fortisiem")
	fields["address"], fields["revoke_url"] = "siem.example", server.Nodes()[0].Address()+"/v1/sys/seal"
	_, err = server.Client().Logical().WriteWithContext(t.Context(), mountPath+"/config/edge", fields)
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusBadRequest, status, text)
	require.Contains(t, text, "revoke_url")
}

func TestEnable_MalformedAddressList_SaysWhatToDo(t *testing.T) {
	_, err := mountWith(t, "malformed", "VENDORAUTH_ALLOW_ADDRESSES=127.0.0.0/8,localhost")
	_, text := statusOf(t, err)
	for _, part := range []string{"VENDORAUTH_ALLOW_ADDRESSES", `"localhost" is not an IP address`, "register the plugin again"} {
		require.True(t, strings.Contains(text, part) || strings.Contains(strings.ReplaceAll(text, `\"`, `"`), part), text)
	}
}
