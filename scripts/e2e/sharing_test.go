package e2e

import (
	"net/http"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// readConcurrently reads a path many times at once. It returns the secrets of the successful reads, and how many reads
// got each status.
func readConcurrently(t *testing.T, client *api.Client, path string, count int) ([]*api.Secret, map[int]int) {
	t.Helper()
	var mu sync.Mutex
	var secrets []*api.Secret
	statuses := map[int]int{}
	var group sync.WaitGroup
	for range count {
		group.Go(func() {
			secret, err := client.Logical().ReadWithContext(t.Context(), path)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				statuses[http.StatusOK]++
				secrets = append(secrets, secret)
				return
			}
			status, _ := statusOf(t, err)
			statuses[status]++
		})
	}
	group.Wait()
	return secrets, statuses
}

func TestShared_TwoHundredReaders_CostOneLoginAndOneToken(t *testing.T) {
	client, mountPath := reset(t)
	fields := configFields(t, "ftd")
	fields["verify_connection"] = false // so that the first read logs in
	write(t, client, mountPath+"/config/main", fields)
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main", "ttl": "10m", "max_ttl": "1h", "sharing": "shared"})
	secrets, statuses := readConcurrently(t, client, mountPath+"/creds/app", 200)
	require.Equal(t, map[int]int{http.StatusOK: 200}, statuses)
	require.Equal(t, 1, operations(t, "ftd", "password"))
	require.Equal(t, 1, operations(t, "ftd", "custom_token"))
	require.Equal(t, 1, live(t, "ftd", "leased"))
	require.NotContains(t, endReasons(t, "ftd"), "evicted")

	inventory, err := client.Logical().ListWithContext(t.Context(), mountPath+"/config/main/credentials")
	require.NoError(t, err)
	for _, details := range inventory.Data["key_info"].(map[string]any) {
		require.EqualValues(t, "200", details.(map[string]any)["holders"].(interface{ String() string }).String())
	}
	for i, secret := range secrets {
		require.Equal(t, secrets[0].Data["token"], secret.Data["token"])
		revokeLease(t, client, secret.LeaseID)
		if i < len(secrets)-1 {
			require.Equal(t, 1, live(t, "ftd", "leased"), "revoking one lease affects no other holder")
		}
	}
	require.Zero(t, live(t, "ftd", "leased"), "the last holder to leave revokes it")
}

func TestExclusive_FiftyReadersForThreeSlots_GetThree(t *testing.T) {
	client, mountPath := reset(t)
	write(t, client, mountPath+"/config/main", configFields(t, "ftd"))
	write(t, client, mountPath+"/roles/app", map[string]any{"config": "main"})
	_, statuses := readConcurrently(t, client, mountPath+"/creds/app", 50)
	require.Equal(t, map[int]int{http.StatusOK: 3, http.StatusConflict: 47}, statuses)
	require.Equal(t, 3, live(t, "ftd", "leased"))
	require.NotContains(t, endReasons(t, "ftd"), "evicted")
}
