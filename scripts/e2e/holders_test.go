package e2e

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// person is a user of Vault with an entity.
type person struct {
	*api.Client
	auth *api.SecretAuth
}

// logIn creates a user with a policy on a mount, and logs in.
func logIn(t *testing.T, client *api.Client, mountPath, rules string) person {
	t.Helper()
	path := "userpass-" + mountPath
	require.NoError(t, client.Sys().PutPolicyWithContext(t.Context(), path, strings.ReplaceAll(rules, "MOUNT", mountPath)))
	require.NoError(t, client.Sys().EnableAuthWithOptionsWithContext(t.Context(), path, &api.EnableAuthOptions{Type: "userpass"}))
	t.Cleanup(func() { _ = client.Sys().DisableAuth(path) })
	write(t, client, "auth/"+path+"/users/ann", map[string]any{"password": "not-a-vendor-secret", "token_policies": path})
	login := write(t, client, "auth/"+path+"/login/ann", map[string]any{"password": "not-a-vendor-secret"})
	logged := vault(t)
	logged.SetToken(login.Auth.ClientToken)
	return person{logged, login.Auth}
}

// inventory returns the credentials of a config by their IDs.
func inventory(t *testing.T, client *api.Client, config string) map[string]map[string]any {
	t.Helper()
	secret, err := client.Logical().ListWithContext(t.Context(), config+"/credentials")
	require.NoError(t, err)
	credentials := make(map[string]map[string]any)
	if secret == nil {
		return credentials
	}
	for id, described := range secret.Data["key_info"].(map[string]any) {
		credentials[id] = described.(map[string]any)
	}
	return credentials
}

func TestInventory_LeaseOfAUser_NamesTheUser(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/own", map[string]any{"config": "main", "ttl": "10m"})
	write(t, client, mountPath+"/roles/all", map[string]any{"config": "main", "ttl": "10m", "sharing": "shared"})
	ann := logIn(t, client, mountPath, `path "MOUNT/creds/*" { capabilities = ["read"] }`)
	for _, role := range []string{"own", "all"} {
		leased := read(t, ann.Client, mountPath+"/creds/"+role)
		described, ok := inventory(t, client, mountPath+"/config/main")[leased.Data["credential_id"].(string)]
		require.True(t, ok, "credential_id finds the credential in the inventory")
		leases := described["leases"].([]any)
		require.Len(t, leases, 1)
		held := leases[0].(map[string]any)
		require.Equal(t, ann.auth.EntityID, held["entity_id"])
		require.Contains(t, held["display_name"], "ann")
		require.Equal(t, ann.auth.Accessor, held["token_accessor"])
		require.True(t, strings.HasPrefix(leased.LeaseID, held["lease_path"].(string)+"/"), "%s, %s", leased.LeaseID, held["lease_path"])
		_, err := client.Sys().RenewWithContext(t.Context(), leased.LeaseID, 0)
		require.NoError(t, err)
		revokeLease(t, client, leased.LeaseID)
	}
	require.Empty(t, inventory(t, client, mountPath+"/config/main"))
}

// A GET changes nothing at the vendor: who may only read cannot create tokens.
func TestCheck_ReadOnlyUser_CreatesNoToken(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "lacework"))
	auditor := logIn(t, client, mountPath, `path "MOUNT/config/main/check" { capabilities = ["read"] }`)
	tokens := live(t, "lacework", "leased")
	secret, err := auditor.Logical().ReadWithContext(t.Context(), mountPath+"/config/main/check")
	require.NoError(t, err)
	require.Nil(t, secret, "there is no result yet")
	_, err = auditor.Logical().WriteWithContext(t.Context(), mountPath+"/config/main/check", nil)
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusForbidden, status, text)
	require.Equal(t, tokens, live(t, "lacework", "leased"))

	checked := write(t, client, mountPath+"/config/main/check", nil)
	require.Equal(t, tokens+1, live(t, "lacework", "leased"))
	require.Equal(t, "check", inventory(t, client, mountPath+"/config/main")[checked.Data["credential_id"].(string)]["purpose"])
	result := read(t, auditor.Client, mountPath+"/config/main/check")
	require.Equal(t, checked.Data["identity"], result.Data["identity"])
	require.Equal(t, tokens+1, live(t, "lacework", "leased"))
}

func TestAbandon_WithoutSudo_IsForbidden(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "ttl": "10m"})
	leased := read(t, client, mountPath+"/creds/app")
	const rules = `path "MOUNT/config/*" { capabilities = ["create", "update", "read", "delete", "list"] }
		path "MOUNT/abandon/+" { capabilities = ["update"] }`
	operator := logIn(t, client, mountPath, rules)
	_, err := operator.Logical().DeleteWithDataWithContext(t.Context(), mountPath+"/config/main", map[string][]string{"force": {"true"}})
	require.NoError(t, err)
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{Vendor: "ftd", Route: "*", DropBefore: true}))
	_, err = operator.Logical().WriteWithContext(t.Context(), mountPath+"/abandon/main", nil)
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusForbidden, status, text)

	permitted := strings.ReplaceAll(strings.ReplaceAll(rules, `["update"]`, `["update", "sudo"]`), "MOUNT", mountPath)
	require.NoError(t, client.Sys().PutPolicyWithContext(t.Context(), "userpass-"+mountPath, permitted))
	abandoned := write(t, operator.Client, mountPath+"/abandon/main", nil)
	require.Len(t, abandoned.Data["abandoned"], 1)
	require.Contains(t, fmt.Sprint(abandoned.Warnings), fmt.Sprint(abandoned.Data["abandoned"].([]any)[0]))
	stored, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/config/main")
	require.NoError(t, err)
	require.Nil(t, stored)
	revokeLease(t, client, leased.LeaseID)
}

// A reader is not shown what the vendor said; the reference leads to the log, which has it.
func TestRead_VendorText_IsInTheLogOnly(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "trend"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "ttl": "10m", "role_name": "Auditor"})
	body := `{"fault":"canary words of the product"}`
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{Vendor: "trend", Route: "createApiKey", Status: http.StatusBadRequest, Body: body}))
	_, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/creds/app")
	status, text := statusOf(t, err)
	require.Equal(t, http.StatusBadRequest, status)
	require.NotContains(t, text, "canary")
	reference := regexp.MustCompile(`\(invalid, request_id ([0-9a-f-]{36})\)`).FindStringSubmatch(text)
	require.NotNil(t, reference, text)
	log, err := os.ReadFile(server.Nodes()[0].LogPath())
	require.NoError(t, err)
	found := false
	for line := range strings.Lines(string(log)) {
		found = found || strings.Contains(line, "canary words of the product") && strings.Contains(line, reference[1])
	}
	require.True(t, found, "the log has the product's words under the same reference")
}
