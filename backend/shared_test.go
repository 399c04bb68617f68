package backend

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

func TestShared_ManyReadersAtOnce_CostOneLoginAndOneCredential(t *testing.T) {
	const readers = 200
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.restart()
	leases := make([]*testLease, readers)
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			response, _, err := m.send(t.Context(), &logical.Request{
				Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/",
			})
			if err != nil {
				t.Error(err)
				return
			}
			leases[i] = m.leaseOf(response)
		})
	}
	group.Wait()
	require.False(t, t.Failed())
	require.Equal(t, 1, m.operations("ftd")["password"])
	require.Equal(t, 1, m.operations("ftd")["custom_token"])
	require.Len(t, m.leased("ftd"), 1)

	for i, leased := range leases {
		require.Equal(t, leases[0].data["token"], leased.data["token"])
		require.Len(t, m.leased("ftd"), 1, "an early revoke harms nobody")
		require.NoError(t, m.revoke(leased), i)
	}
	require.Empty(t, m.leased("ftd"), "the last to go revoked it")
	require.Empty(t, m.ledgerOf("ftd"))
	holders, err := m.storage.List(t.Context(), "holder/")
	require.NoError(t, err)
	require.Empty(t, holders)
}

func TestShared_WarmRead_CostsOneWriteAndNoCall(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.read("ftd")
	calls := len(m.vendors.Requests("ftd"))
	counted := &countingStorage{Storage: m.storage}
	_, _, err := m.send(t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/ftd", Storage: counted, MountPoint: "vendorauth/",
	})
	require.NoError(t, err)
	require.Equal(t, countingStorage{Storage: m.storage, puts: 1}, *counted)
	require.Len(t, m.vendors.Requests("ftd"), calls)
}

func TestShared_AfterRestart_GoesOnWithTheSameCredential(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	first := m.read("ftd")
	m.restart()
	second := m.read("ftd")
	require.Equal(t, first.data["token"], second.data["token"])
	require.NoError(t, m.revoke(first))
	require.Len(t, m.leased("ftd"), 1)
	m.restart()
	require.NoError(t, m.revoke(second))
	require.Empty(t, m.leased("ftd"))
}

// A leader that stalls between a last holder's end and the revocation revokes when it goes on, and its successor
// cannot know.
func TestShared_LastHolderGoneBeforeRestart_IsGivenToNobody(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	first := m.read("ftd")
	internal := first.secret.InternalData
	require.NoError(t, m.storage.Delete(t.Context(), fmt.Sprintf("holder/%s/%s", internal["id"], internal["holder"])))
	m.restart()
	second := m.read("ftd")
	require.NotEqual(t, first.data["token"], second.data["token"])
	m.clock.advance(lease.IssueDeadline + time.Second)
	m.runPeriodic()
	require.Len(t, m.leased("ftd"), 1, "what nobody holds is ended")
	require.NoError(t, m.revoke(second))
	require.Empty(t, m.leased("ftd"))
}

func TestShared_LifeGetsShorterThanTTL_IsReplacedAndDrains(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"}) // ttl 15m, max_ttl 2h
	first := m.read("ftd")
	m.clock.advance(time.Hour + 40*time.Minute)
	require.Equal(t, first.data["token"], m.read("ftd").data["token"])
	m.clock.advance(10 * time.Minute)
	fresh := m.read("ftd")
	require.NotEqual(t, first.data["token"], fresh.data["token"])
	require.Equal(t, 15*time.Minute, fresh.secret.TTL)
	require.Len(t, m.leased("ftd"), 2, "the old one serves its holders")
}

func TestShared_RoleChangedOrDeleted_DrainsTheOldCredential(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	first := m.read("ftd")
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"ttl": "10m"})
	second := m.read("ftd")
	require.NotEqual(t, first.data["token"], second.data["token"])
	m.must(logical.DeleteOperation, "roles/ftd", nil)
	require.Len(t, m.leased("ftd"), 2)
	require.NoError(t, m.revoke(first))
	require.NoError(t, m.revoke(second))
	require.Empty(t, m.leased("ftd"))
}

func TestShared_VendorDown_AllReadersShareOneRefusal(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: http.StatusServiceUnavailable, Delay: 300 * time.Millisecond})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, status, err := m.send(t.Context(), &logical.Request{
				Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/",
			})
			if err == nil || status != http.StatusServiceUnavailable {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, m.operations("ftd")["custom_token"], 2)
	require.Empty(t, m.ledgerOf("ftd"))
}

// A person logged in at the device, or revoked the token there: it must not be handed out for ever.
func TestShared_DiedAtTheVendor_IsReplacedOnceAHolderHasNoticed(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	first := m.read("ftd")
	_, err := m.vendors.Do("ftd", "reboot", nil)
	require.NoError(t, err)
	_, err = m.renew(first, 0)
	require.ErrorContains(t, err, "creds/ftd")
	fresh := m.read("ftd")
	require.NotEqual(t, first.data["token"], fresh.data["token"])
	require.NoError(t, m.revoke(first))
	require.Len(t, m.leased("ftd"), 1)
}

// Vault crashed before it stored a lease: a holder that will never let go.
func TestShared_HoldersLeaseWasLost_EndsWithTheOthers(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.read("ftd")
	kept := m.read("ftd")
	require.NoError(t, m.revoke(kept))
	m.clock.advance(15*time.Minute + lease.LostLeaseGrace + time.Minute)
	m.runPeriodic()
	require.Empty(t, m.leased("ftd"))
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestShared_RenewStaysInsideTheCredentialsLife(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.read("ftd")
	m.clock.advance(time.Hour)
	late := m.read("ftd")
	response, err := m.renew(late, 2*time.Hour)
	require.NoError(t, err)
	require.False(t, m.clock.Now().Add(response.Secret.TTL).After(*m.leased("ftd")[0].ExpiresAt))
	require.False(t, late.secret.IssueTime.Add(response.Secret.MaxTTL).After(*m.leased("ftd")[0].ExpiresAt))
}

func TestShared_LastRevokeFails_IsTriedAgain(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
}

func TestExclusive_FiftyReadersForThreeSlots_GetThreeAndClearRefusals(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	var mu sync.Mutex
	statuses := map[int]int{}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			_, status, _ := m.send(t.Context(), &logical.Request{
				Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/",
			})
			mu.Lock()
			defer mu.Unlock()
			statuses[status]++
		})
	}
	group.Wait()
	require.Equal(t, map[int]int{http.StatusOK: 3, http.StatusConflict: 47}, statuses)
	require.Len(t, m.leased("ftd"), 3)
}

func TestMaxWait_SlotIsFreed_WaitingReaderGetsIt(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"max_wait": "60s"})
	held := make([]*testLease, 3)
	for i := range held {
		held[i] = m.read("ftd")
	}
	done := make(chan error)
	go func() {
		_, _, err := m.send(t.Context(), &logical.Request{
			Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/",
		})
		done <- err
	}()
	require.NoError(t, m.revoke(held[0]))
	require.NoError(t, <-done)
	require.Len(t, m.leased("ftd"), 3)
}

func TestMaxWait_IsBounded(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"max_wait": "1s"})
	for range 3 {
		m.read("ftd")
	}
	status, text := m.refused(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, "sharing=shared")
	status, text = m.refused(logical.UpdateOperation, "roles/ftd", map[string]any{"max_wait": "2m"})
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "max_wait")
}

func TestConfigCredentials_ListsWhatIsAliveWithoutSecrets(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.must(logical.UpdateOperation, "roles/own", map[string]any{"config": "ftd"})
	leased := m.read("ftd")
	m.read("ftd")
	m.read("own")
	listed := m.must(logical.ListOperation, "config/ftd/credentials", nil).Data
	require.Len(t, listed["keys"], 2)
	byRole := map[string]map[string]any{}
	for _, info := range listed["key_info"].(map[string]any) {
		details := info.(map[string]any)
		byRole[details["role"].(string)] = details
	}
	require.Equal(t, 2, byRole["ftd"]["holders"])
	require.Equal(t, true, byRole["ftd"]["shared"])
	require.Equal(t, 1, byRole["own"]["holders"])
	require.Equal(t, "live", byRole["own"]["state"])
	require.NotContains(t, fmt.Sprint(listed), leased.data["token"])

	status, _ := m.refused(logical.ListOperation, "config/nobody/credentials", nil)
	require.Equal(t, http.StatusBadRequest, status)
}
