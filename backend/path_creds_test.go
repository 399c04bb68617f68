package backend

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestCreds_EveryVendor_LeaseEndsBeforeTheCredential(t *testing.T) {
	for vendor, renewable := range map[string]bool{"fortianalyzer": true, "fortisiem": false, "ftd": true, "lacework": false, "trend": true} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			role := map[string]any{"ttl": "10m"}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.configure(vendor, role)
			leased := m.read(vendor)
			require.Equal(t, 10*time.Minute, leased.secret.TTL, "the lease gets the full TTL of the role")
			require.Equal(t, renewable, leased.secret.Renewable)
			for _, field := range []string{"token", "token_type", "address", "expires_at"} {
				require.NotEmpty(t, leased.data[field], field)
			}
			require.Equal(t, vendor, leased.data["vendor"])

			live := m.leased(vendor)
			require.NotEmpty(t, live)
			issued := live[len(live)-1]
			require.False(t, m.clock.Now().Add(leased.secret.TTL).After(*issued.ExpiresAt), "the lease ends before the credential")
			expires, err := time.Parse(time.RFC3339, leased.data["expires_at"].(string))
			require.NoError(t, err)
			require.False(t, expires.After(*issued.ExpiresAt), "expires_at is never late")
		})
	}
}

func TestCreds_Exclusive_CostsTwoWritesAndNoRead(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	require.NoError(t, m.readAndRevoke("ftd"))
	counted := storagetest.Wrap(m.storage)
	_, _, err := m.requestOn(counted, logical.ReadOperation, "creds/ftd", nil)
	require.NoError(t, err)
	require.Equal(t, map[storagetest.Kind]int{storagetest.Put: 2}, counted.Counts())
}

func TestCreds_VendorCannotRevoke_WarnsInEveryResponse(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	response := m.must(logical.ReadOperation, "creds/lacework", nil)
	require.NotEmpty(t, response.Warnings)
	require.Contains(t, response.Warnings[len(response.Warnings)-1], response.Data["expires_at"].(string))
}

func TestCreds_InternalData_HoldsNoSecret(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	require.ElementsMatch(t, []string{"config", "role", "id", "version", "secret_type"}, slices.Collect(maps.Keys(leased.secret.InternalData)))
}

func TestCreds_AtTheLimit_NamesUsedAndLimit(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	for range 3 {
		m.read("ftd")
	}
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil, "3 of 3", "max_credentials")
	require.Len(t, m.leased("ftd"), 3, "no session was evicted")
	require.Len(t, m.logins("ftd"), 1)
}

func TestCreds_DefiniteFailure_LeavesNoEntry(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "custom_token", Status: http.StatusServiceUnavailable, Times: 1})
	m.rejected(http.StatusServiceUnavailable, logical.ReadOperation, "creds/ftd", nil)
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestCreds_RateLimited_WaitsForRetryAfter(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.fault(emulator.Fault{
		Vendor: "lacework", Route: "POST /api/v2/access/tokens", Status: http.StatusTooManyRequests,
		Header: map[string]string{"Retry-After": "120"}, Times: 1,
	})
	before := len(m.vendors.Requests("lacework"))
	for range 3 {
		m.rejected(http.StatusTooManyRequests, logical.ReadOperation, "creds/lacework", nil, "retry in")
	}
	require.Len(t, m.vendors.Requests("lacework"), before+1)
	m.clock.Advance(2 * time.Minute)
	m.read("lacework")
}

func TestCreds_RootRejected_LogsInOnce(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"password": "wrong", "verify_connection": false})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd"})
	for range 5 {
		m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/ftd", nil, "password")
	}
	require.Equal(t, 1, m.operations("ftd")["password"])
	require.Empty(t, m.ledgerOf("ftd"))
}

func TestCreds_FiftyReadersForThreeSlots_ThreeSucceed(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	var mu sync.Mutex
	statuses := map[int]int{}
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			_, status, _ := m.request(logical.ReadOperation, "creds/ftd", nil)
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
	m := newConfiguredMount(t, "ftd", map[string]any{"max_wait": "60s"})
	held := make([]*vaultLease, 3)
	for i := range held {
		held[i] = m.read("ftd")
	}
	done := inBackground(func() error {
		_, err := m.tryRead("ftd")
		return err
	})
	require.NoError(t, m.revoke(held[0]))
	require.NoError(t, <-done)
	require.Len(t, m.leased("ftd"), 3)
}

func TestMaxWait_NoSlotIsFreed_IsBounded(t *testing.T) {
	m := newConfiguredMount(t, "ftd", map[string]any{"max_wait": "1s"})
	for range 3 {
		m.read("ftd")
	}
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil, "sharing=shared")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/ftd", map[string]any{"max_wait": "2m"}, "max_wait")
}
