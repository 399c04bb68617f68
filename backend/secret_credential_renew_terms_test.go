package backend

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// renewableVendors are the vendors whose credentials can be renewed, with the fields that their roles need.
var renewableVendors = map[string]map[string]any{
	"ftd":           {},
	"trend":         {"role_name": "Auditor"},
	"fortianalyzer": {},
}

// forEachRenewable runs a test for each renewable vendor, with exclusive and with shared credentials.
func forEachRenewable(t *testing.T, test func(t *testing.T, vendor string, role map[string]any)) {
	t.Helper()
	for vendor, fields := range renewableVendors {
		for _, sharing := range []string{"exclusive", "shared"} {
			t.Run(vendor+"/"+sharing, func(t *testing.T) {
				role := map[string]any{"sharing": sharing, "ttl": "10m", "max_ttl": "8h"}
				for field, value := range fields {
					role[field] = value
				}
				test(t, vendor, role)
			})
		}
	}
}

// coreTTL is what Vault's core makes of a renewal's answer: it computes the lease's end again, on its own clock.
func (m *mount) coreTTL(l *vaultLease, response *logical.Response, increment time.Duration) (time.Duration, []string, error) {
	m.t.Helper()
	issuedAt := l.secret.IssueTime.Add(time.Since(m.clock.Now()))
	return framework.CalculateTTL(m.backend.System(), increment, response.Secret.TTL, 0, response.Secret.MaxTTL, 0, issuedAt)
}

// holdersOf lists the stored holders of a lease's credential.
func (m *mount) holdersOf(l *vaultLease) []string {
	m.t.Helper()
	ids, err := m.storage.List(m.t.Context(), "holder/"+l.secret.InternalData["id"].(string)+"/")
	require.NoError(m.t, err)
	return ids
}

func TestRenew_SixtyTimes_EachGrantsTheFullTTLWithoutWarning(t *testing.T) {
	const ttl = 10 * time.Minute
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		m.configure(vendor, role)
		leased := m.read(vendor)
		for i := range 60 {
			// The fractions of a second of the issue and of the renewal are in every relation.
			m.clock.Advance(time.Minute + 317*time.Millisecond)
			leased.secret.IssueTime = leased.secret.IssueTime.Add(-71 * time.Millisecond)
			increment := []time.Duration{0, ttl, 5 * time.Minute}[i%3]
			want := []time.Duration{ttl, ttl, 5 * time.Minute}[i%3]
			response, err := m.renew(leased, increment)
			require.NoError(t, err)
			require.Empty(t, response.Warnings)
			require.Equal(t, want, response.Secret.TTL, "renewal %d", i)
			granted, warnings, err := m.coreTTL(leased, response, increment)
			require.NoError(t, err)
			require.Empty(t, warnings, "renewal %d", i)
			require.Equal(t, want, granted, "renewal %d", i)
		}
	})
}

func TestRenew_NearMaxTTL_NeverOutlivesTheCredential(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		role["max_ttl"] = "20m"
		m.configure(vendor, role)
		leased := m.read(vendor)
		for elapsed := time.Duration(0); elapsed < 19*time.Minute; elapsed += 97 * time.Second {
			response, err := m.renew(leased, 24*time.Hour)
			require.NoError(t, err)
			granted, _, err := m.coreTTL(leased, response, 24*time.Hour)
			require.NoError(t, err)
			ends := m.clock.Now().Add(granted)
			require.False(t, ends.After(*m.leased(vendor)[0].ExpiresAt), "the lease ends at %s", ends)
			require.False(t, ends.After(leased.secret.IssueTime.Add(20*time.Minute+time.Second)), "max_ttl holds")
			m.clock.Advance(97 * time.Second)
		}
	})
}

// Core computes the lease's end of a read too, from the response's TTL and MaxTTL.
func TestRead_TTLEqualsMaxTTL_IsGrantedWithoutWarning(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		role["max_ttl"] = role["ttl"]
		m.configure(vendor, role)
		for range 3 {
			response := m.must(logical.ReadOperation, "creds/"+vendor, nil)
			granted, warnings, err := framework.CalculateTTL(m.backend.System(), 0, response.Secret.TTL, 0, response.Secret.MaxTTL, 0, time.Time{})
			require.NoError(t, err)
			require.Empty(t, warnings)
			require.Empty(t, response.Warnings)
			if role["sharing"] == "exclusive" {
				require.Equal(t, 10*time.Minute, granted)
				require.Equal(t, 10*time.Minute, response.Secret.MaxTTL)
			}
		}
	})
}

// Renewals grant what was asked for until it does not fit before max_ttl, and then all that is left.
func TestRenew_UntilMaxTTL_GrantsAllOfIt(t *testing.T) {
	const ttl, maxTTL = 10 * time.Minute, 30 * time.Minute
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		for fraction := time.Duration(0); fraction < time.Second; fraction += 239 * time.Millisecond {
			m := newMount(t)
			role["max_ttl"] = maxTTL.String()
			m.configure(vendor, role)
			m.clock.Advance(fraction)
			leased := m.read(vendor)
			for elapsed := time.Duration(0); elapsed < maxTTL-time.Minute; elapsed += 101 * time.Second {
				response, err := m.renew(leased, ttl)
				require.NoError(t, err)
				granted, warnings, err := m.coreTTL(leased, response, ttl)
				require.NoError(t, err)
				remaining := leased.secret.IssueTime.Add(maxTTL).Sub(m.clock.Now())
				if remaining >= ttl+time.Second {
					require.Equal(t, ttl, granted, "after %s", elapsed)
					require.Empty(t, warnings, "after %s", elapsed)
				} else {
					require.InDelta(t, min(ttl, remaining).Seconds(), granted.Seconds(), 1.05, "after %s", elapsed)
				}
				m.clock.Advance(101 * time.Second)
			}
		}
	})
}

// Vault's core refuses a renewal after the engine has granted it, or grants a shorter one: the lease keeps its
// previous end.
func TestRenew_ShorterThanBefore_LeavesTheLedgersEndOfTheLease(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		m.configure(vendor, role)
		leased := m.read(vendor)
		for range 3 {
			m.clock.Advance(time.Second)
			_, err := m.renew(leased, time.Second)
			require.NoError(t, err)
		}
		m.restart()
		m.clock.Advance(10*time.Minute + lease.LostLeaseGrace - 10*time.Second)
		if vendor == "fortianalyzer" {
			useSession(m, leased) // the application keeps the session alive
		}
		m.runPeriodic()
		require.Len(t, m.ledgerOf(vendor), 1, "the lease could still be revoked by Vault")
		entry, err := m.backend.ledger.Get(t.Context(), m.storage, vendor, m.ledgerOf(vendor)[0])
		require.NoError(t, err)
		require.EqualValues(t, "live", entry.State)
	})
}

func TestRenew_ShorterThanBefore_LeavesTheVendorsEnd(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		m.configure(vendor, role)
		leased := m.read(vendor)
		_, err := m.renew(leased, 12*time.Minute)
		require.NoError(t, err)
		before := *m.leased(vendor)[0].ExpiresAt
		m.restart()
		m.clock.Advance(time.Minute)
		_, err = m.renew(leased, time.Second)
		require.NoError(t, err)
		require.False(t, m.leased(vendor)[0].ExpiresAt.Before(before))
	})
}

// A client repeats a renewal after its timeout, or Agent and application renew the same lease.
func TestRenew_SeveralAtOnce_AllSucceed(t *testing.T) {
	operation := map[string]string{"ftd": "*", "trend": "modifyApiKey", "fortianalyzer": "*"}
	forEachRenewable(t, func(t *testing.T, vendor string, role map[string]any) {
		m := newMount(t)
		m.configure(vendor, role)
		leased := m.read(vendor)
		m.clock.Advance(time.Minute)
		m.fault(emulator.Fault{Vendor: vendor, Route: operation[vendor], Delay: 50 * time.Millisecond})
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				response, err := m.renew(leased, time.Duration(9-i)*time.Minute)
				if err != nil || response.Secret.TTL != time.Duration(9-i)*time.Minute {
					t.Errorf("renewal %d: %v", i, err)
				}
			})
		}
		group.Wait()
		require.Len(t, m.leased(vendor), 1, "no renewal has revoked anything")
		m.clock.Advance(8*time.Minute + 50*time.Second)
		require.Len(t, m.leased(vendor), 1, "no renewal has shortened another")
	})
}

// The renewal's write is on its way when the lease is revoked.
func TestRenew_NextToARevocation_LeavesNoHolder(t *testing.T) {
	for vendor, fields := range renewableVendors {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			role := map[string]any{"sharing": "shared", "ttl": "10m"}
			for field, value := range fields {
				role[field] = value
			}
			m.configure(vendor, role)
			first, second := m.read(vendor), m.read(vendor)
			internal := first.secret.InternalData
			storage, gate := storagetest.BlockNth(m.storage, 1, storagetest.Put,
				"holder/"+internal["id"].(string)+"/"+internal["holder"].(string))
			m.clock.Advance(time.Second)
			renewed, revoked := make(chan struct{}), make(chan error, 1)
			go func() {
				defer close(renewed)
				_, _ = m.renewOn(storage, first, 0) // whatever its outcome
			}()
			<-gate.Reached
			go func() { revoked <- m.revoke(first) }()
			gate.Open()
			<-renewed
			require.NoError(t, <-revoked)
			require.Len(t, m.holdersOf(second), 1, "the other holder's")
			m.restart()
			require.NoError(t, m.revoke(second))
			require.Empty(t, m.leased(vendor))
			require.Empty(t, m.ledgerOf(vendor))
			require.Empty(t, m.holdersOf(second))
			_, err := m.renew(first, 0)
			require.ErrorContains(t, err, "revoked")
			require.Empty(t, m.holdersOf(second))
		})
	}
}

// The process dies after the renewal's write and before the revocation's deletion, which Vault then repeats.
func TestRenew_ProcessDiesDuringARevocation_LeavesNoHolder(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	leased := m.read("ftd")
	m.clock.Advance(time.Second)
	_, err := m.renew(leased, 0)
	require.NoError(t, err)
	require.Error(t, m.revokeOn(storagetest.FailFrom(m.storage, 1, storagetest.Writes...), leased))
	m.restart()
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.holdersOf(leased))
	require.Empty(t, m.leased("ftd"))
}

func TestRenew_SharedByOneApplication_CostsOneCallAndOneWriteEach(t *testing.T) {
	const renewals = 500
	for vendor, fields := range renewableVendors {
		t.Run(vendor, func(t *testing.T) {
			m := newMountOn(t, emulator.Config{Seed: 1, PlainHTTP: true})
			m.writeConfig(vendor, map[string]any{"ca_cert": nil})
			role := map[string]any{"config": vendor, "ttl": "5m", "max_ttl": "8h", "sharing": "shared"}
			for field, value := range fields {
				role[field] = value
			}
			m.must(logical.UpdateOperation, "roles/r", role)
			var leases []*vaultLease
			for range 10 {
				leases = append(leases, m.read("r"))
			}
			_, err := m.renew(leases[0], 0)
			require.NoError(t, err)
			m.clock.Advance(4 * time.Minute) // the end of a session that is kept alive by use must move
			before := len(m.vendors.Requests(vendor))
			for i := range renewals {
				counted := storagetest.Wrap(m.storage)
				response, err := m.renewOn(counted, leases[i%10], 0)
				require.NoError(t, err)
				require.Equal(t, 5*time.Minute, response.Secret.TTL)
				counts := counted.Counts()
				require.LessOrEqual(t, counts[storagetest.Put], 1, "renewal %d", i)
				delete(counts, storagetest.Put)
				require.Empty(t, counts, "a warm renewal reads no storage")
			}
			require.LessOrEqual(t, len(m.vendors.Requests(vendor))-before, 3, "%v", m.operations(vendor))
		})
	}
}

// Vault Agent drops what it reads in the same second as before, so a refusal must not drive it to read that early.
func TestRenew_RefusedForANewLease_TakesItsTime(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	leased := m.read("ftd")
	require.NoError(t, m.revoke(leased))
	began := time.Now()
	_, err := m.renew(leased, 0)
	require.ErrorContains(t, err, "revoked")
	require.Greater(t, time.Since(began), time.Second)

	leased.secret.IssueTime = leased.secret.IssueTime.Add(-time.Minute)
	began = time.Now()
	_, err = m.renew(leased, 0)
	require.ErrorContains(t, err, "revoked")
	require.Less(t, time.Since(began), time.Second)
}

func TestRenew_FoundDead_IsRevokedByTheNextSweep(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"ttl": "1h"})
	leases := []*vaultLease{m.read("ftd"), m.read("ftd"), m.read("ftd")}
	_, err := m.vendors.Do("ftd", "end_sessions", nil)
	require.NoError(t, err)
	m.clock.Advance(time.Minute)
	for _, leased := range leases {
		_, err := m.renew(leased, 0)
		require.ErrorContains(t, err, "read a new credential")
	}
	m.runPeriodic()
	require.Empty(t, m.ledgerOf("ftd"))
	m.read("ftd")
	for _, leased := range leases {
		require.NoError(t, m.revoke(leased))
	}
	_, status, _ := m.request(logical.ReadOperation, "creds/ftd", nil)
	require.Equal(t, http.StatusOK, status)
}

// act performs an action at a vendor.
func (m *mount) act(t *testing.T, vendor, action string, arguments map[string]string) {
	t.Helper()
	_, err := m.vendors.Do(vendor, action, arguments)
	require.NoError(t, err)
}

// cutToken cuts a Trend key into its id and its secret.
func cutToken(l *vaultLease) (id, secret string, ok bool) {
	return strings.Cut(l.data["token"].(string), ":")
}
