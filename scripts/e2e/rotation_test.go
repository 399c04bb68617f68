package e2e

import (
	"encoding/json"
	"net/http"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// madeSecrets are root secrets that the engine has made itself, for the search at the end.
var madeSecrets struct {
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
	madeSecrets.mu.Lock()
	defer madeSecrets.mu.Unlock()
	madeSecrets.secrets = append(madeSecrets.secrets, secret)
}

func TestRotateRoot_NewOneIsInUseTheFormerDeadAndNobodyLearnsIt(t *testing.T) {
	secretFields := map[string]string{"trend": "api_key", "ftd": "password"}
	for _, c := range vendorCases() {
		t.Run(c.vendor, func(t *testing.T) {
			client, mountPath := reset(t)
			write(t, client, mountPath+"/config/main", configFields(t, c.vendor))
			role := map[string]any{"config": "main"}
			for field, value := range c.role {
				role[field] = value
			}
			write(t, client, mountPath+"/roles/app", role)
			field, rotates := secretFields[c.vendor]
			if !rotates {
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
				// By a client whose answers are not searched.
				keepRootSecret(t, server.Client(), mountPath, field)
			}
			require.Equal(t, "current", read(t, client, mountPath+"/config/main").Data["root_state"])
			require.Equal(t, 1, live(t, c.vendor, "login"), "the former has ended")
			after := read(t, client, mountPath+"/creds/app")
			require.Equal(t, http.StatusOK, c.use(t, after.Data))
			for _, secret := range []*api.Secret{before, after} {
				require.NoError(t, client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}))
			}
			require.Zero(t, live(t, c.vendor, "leased"))

			_, err := client.Logical().WriteWithContext(t.Context(), mountPath+"/config/other", configFields(t, c.vendor))
			require.ErrorContains(t, err, "verifying the connection failed", "the root credential of the beginning is dead")
		})
	}
}
