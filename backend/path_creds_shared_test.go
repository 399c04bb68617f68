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
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestShared_ManyReaders_CostOneLoginAndOneCredential(t *testing.T) {
	const readers = 200
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.restart()
	leases := make([]*vaultLease, readers)
	var group sync.WaitGroup
	for i := range readers {
		group.Go(func() {
			response, _, err := m.request(logical.ReadOperation, "creds/ftd", nil)
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
		require.Len(t, m.leased("ftd"), 1, "the credential lives while it has holders")
		require.NoError(t, m.revoke(leased), i)
	}
	require.Empty(t, m.leased("ftd"), "the last holder revoked it")
	require.Empty(t, m.ledgerOf("ftd"))
	m.requireNoKeys("holder/")
}

func TestShared_WarmRead_CostsOneWriteAndNoCall(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.read("ftd")
	calls := len(m.vendors.Requests("ftd"))
	counted := storagetest.Wrap(m.storage)
	_, _, err := m.requestOn(counted, logical.ReadOperation, "creds/ftd", nil)
	require.NoError(t, err)
	require.Equal(t, map[storagetest.Kind]int{storagetest.Put: 1}, counted.Counts())
	require.Len(t, m.vendors.Requests("ftd"), calls)
}

func TestShared_AfterRestart_ReturnsTheSameCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
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

// A leader that stalls between the end of the last holder and the revocation revokes when it continues, and its
// successor cannot know.
func TestShared_NoHolderAtRestart_IsNotLeasedAgain(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	first := m.read("ftd")
	internal := first.secret.InternalData
	require.NoError(t, m.storage.Delete(t.Context(), fmt.Sprintf("holder/%s/%s", internal["id"], internal["holder"])))
	m.restart()
	second := m.read("ftd")
	require.NotEqual(t, first.data["token"], second.data["token"])
	m.runPeriodicAfter(lease.IssueDeadline + time.Second)
	require.Len(t, m.leased("ftd"), 1, "the credential without holders was revoked")
	require.NoError(t, m.revoke(second))
	require.Empty(t, m.leased("ftd"))
}

func TestShared_RemainingLifeBelowTTL_IsReplacedAndDrains(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole) // ttl 15m, max_ttl 2h
	first := m.read("ftd")
	m.clock.Advance(time.Hour + 40*time.Minute)
	require.Equal(t, first.data["token"], m.read("ftd").data["token"])
	m.clock.Advance(10 * time.Minute)
	fresh := m.read("ftd")
	require.NotEqual(t, first.data["token"], fresh.data["token"])
	require.Equal(t, 15*time.Minute, fresh.secret.TTL)
	require.Len(t, m.leased("ftd"), 2, "the previous one serves its holders")
}

func TestShared_RoleChangedOrDeleted_Drains(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
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

func TestShared_VendorDown_ReadersShareOneFailure(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: http.StatusServiceUnavailable, Delay: 300 * time.Millisecond})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, status, err := m.request(logical.ReadOperation, "creds/ftd", nil)
			if err == nil || status != http.StatusServiceUnavailable {
				t.Errorf("status %d, %v", status, err)
			}
		})
	}
	group.Wait()
	require.LessOrEqual(t, m.operations("ftd")["custom_token"], 2)
	require.Empty(t, m.ledgerOf("ftd"))
}

// The device was restarted, or an operator revoked the token there: readers must not get it any more.
func TestShared_EndedAtTheVendor_IsReplacedAfterARenewal(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	first := m.read("ftd")
	_, err := m.vendors.Do("ftd", "end_sessions", nil)
	require.NoError(t, err)
	m.clock.Advance(time.Minute) // the vendor's confirmation of the issue is used for a short time
	_, err = m.renew(first, 0)
	require.ErrorContains(t, err, "creds/ftd")
	fresh := m.read("ftd")
	require.NotEqual(t, first.data["token"], fresh.data["token"])
	require.NoError(t, m.revoke(first))
	require.Len(t, m.leased("ftd"), 1)
}

// Vault crashed before it stored a lease: this holder never leaves.
func TestShared_HoldersLeaseLost_EndsWithTheOthers(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.read("ftd")
	kept := m.read("ftd")
	require.NoError(t, m.revoke(kept))
	m.runPeriodicAfter(15*time.Minute + lease.LostLeaseGrace + time.Minute)
	m.requireNoneLeft("ftd")
}

func TestShared_Renew_StaysWithinTheCredentialsLife(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	m.read("ftd")
	m.clock.Advance(time.Hour)
	late := m.read("ftd")
	response, err := m.renew(late, 2*time.Hour)
	require.NoError(t, err)
	require.False(t, m.clock.Now().Add(response.Secret.TTL).After(*m.leased("ftd")[0].ExpiresAt))
	require.False(t, late.secret.IssueTime.Add(response.Secret.MaxTTL).After(*m.leased("ftd")[0].ExpiresAt))
}

func TestShared_LastRevokeFails_IsRetried(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	leased := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.vendors.ClearFaults("ftd")
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
}

func TestShared_LateRenew_StaysWithinTheLedgersExpiry(t *testing.T) {
	m := newMount(t)
	m.setSwitch("fortianalyzer", "idle_timeout", "8h")
	m.writeConfig("fortianalyzer", map[string]any{"idle_timeout": "8h"})
	m.must(logical.UpdateOperation, "roles/app", map[string]any{
		"config": "fortianalyzer", "ttl": "10m", "max_ttl": "2h", "sharing": "shared",
	})
	m.read("app")
	m.clock.Advance(100 * time.Minute)
	late := m.read("app")
	response, err := m.renew(late, 2*time.Hour)
	require.NoError(t, err)
	end := late.secret.IssueTime.Add(response.Secret.MaxTTL)
	require.False(t, end.After(m.clock.Now().Add(20*time.Minute+time.Second)), "the life of a shared credential is the role's max_ttl")
}

func TestShared_LastRevokeRunning_IssuesAnotherCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	last := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "revoke_token", Delay: 300 * time.Millisecond, Times: 1})
	done := make(chan error)
	go func() { done <- m.revoke(last) }()
	require.Eventually(t, func() bool { return m.operations("ftd")["revoke_token"] > 0 }, 5*time.Second, time.Millisecond)
	fresh := m.read("ftd")
	require.NotEqual(t, last.data["token"], fresh.data["token"])
	require.NoError(t, <-done)
	require.Len(t, m.leased("ftd"), 1)
}

func TestShared_RoleWrittenAgainUnchanged_KeepsTheCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	first := m.read("ftd")
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"sharing": "shared", "ttl": "15m"})
	require.Equal(t, first.data["token"], m.read("ftd").data["token"])
}

func TestShared_ConnectionChanged_IssuesAnotherCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	first := m.read("ftd")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"api_version": "v6"})
	require.NotEqual(t, first.data["token"], m.read("ftd").data["token"])
	require.NoError(t, m.revoke(first))
}
