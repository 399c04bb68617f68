package e2e

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// rotatedSecrets are root secrets that rotations created, for the search for secrets at the end of the run.
var rotatedSecrets struct {
	mu      sync.Mutex
	secrets []string
}

// keepRootSecret reads a secret field of a config as Vault stores it.
func keepRootSecret(t *testing.T, client *api.Client, mountPath, field string) {
	t.Helper()
	mount, err := client.Sys().GetMountWithContext(t.Context(), mountPath)
	require.NoError(t, err)
	raw := read(t, client, "sys/raw/logical/"+mount.UUID+"/config/main")
	var stored struct {
		Fields map[string]any `json:"fields"`
	}
	require.NoError(t, json.Unmarshal([]byte(raw.Data["value"].(string)), &stored))
	secret, _ := stored.Fields[field].(string)
	require.NotEmpty(t, secret)
	rotatedSecrets.mu.Lock()
	defer rotatedSecrets.mu.Unlock()
	rotatedSecrets.secrets = append(rotatedSecrets.secrets, secret)
}

func TestRotateRoot_EveryVendor_ReplacesTheRootOrRefuses(t *testing.T) {
	forEachVendor(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		write(t, client, mountPath+"/roles/app", roleFields(vendor, nil))
		if !vendor.RotatesRoot() {
			_, err := client.Logical().WriteWithContext(t.Context(), mountPath+"/config/main/rotate-root", nil)
			var refused *api.ResponseError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, http.StatusBadRequest, refused.StatusCode)
			require.Contains(t, err.Error(), "cannot replace the root credential")
			return
		}
		before := read(t, client, mountPath+"/creds/app")
		for range 2 {
			answer := write(t, client, mountPath+"/config/main/rotate-root", nil)
			require.NotEmpty(t, answer.Warnings)
			// Through a client whose answers are not recorded: the search must not find the secret there.
			keepRootSecret(t, server.Client(), mountPath, vendor.Secret)
		}
		require.Equal(t, "current", read(t, client, mountPath+"/config/main").Data["root_state"])
		require.Equal(t, 1, live(t, vendor.Name, "login"), "the previous root credential has ended")
		after := read(t, client, mountPath+"/creds/app")
		requireAccepted(t, vendor, after.Data)
		for _, secret := range []*api.Secret{before, after} {
			revokeLease(t, client, secret.LeaseID)
		}
		require.Zero(t, live(t, vendor.Name, "leased"))

		_, err := client.Logical().WriteWithContext(t.Context(), mountPath+"/config/other", configFields(t, vendor.Name))
		require.ErrorContains(t, err, "verifying the connection failed", "the first root credential has ended")
	})
}
