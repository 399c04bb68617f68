package backend

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

func TestRenew_AnyIncrement_StaysWithinTheCredentialsLife(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil) // ttl 15m, max_ttl 2h
	leased := m.read("ftd")
	for name, test := range map[string]struct {
		increment, wantMin, wantMax time.Duration
	}{
		"without increment":                {0, 15*time.Minute - time.Second, 15 * time.Minute},
		"with a larger one":                {time.Hour, time.Hour - time.Second, time.Hour},
		"with one beyond the maximum":      {24 * time.Hour, 2*time.Hour - 2*time.Second, 2 * time.Hour},
		"with a smaller one than the role": {time.Minute, time.Minute - time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := m.renew(leased, test.increment)
			require.NoError(t, err)
			require.GreaterOrEqual(t, response.Secret.TTL, test.wantMin)
			require.LessOrEqual(t, response.Secret.TTL, test.wantMax)
			live := m.leased("ftd")[0]
			require.False(t, m.clock.Now().Add(response.Secret.TTL).After(*live.ExpiresAt))
			require.False(t, leased.secret.IssueTime.Add(response.Secret.MaxTTL).After(*live.ExpiresAt))
		})
	}
}

func TestRenew_ExtendableCredential_MovesItsExpiry(t *testing.T) {
	m := newConfiguredMount(t, "fortianalyzer", map[string]any{"ttl": "10m", "max_ttl": "8h"})
	leased := m.read("fortianalyzer")
	require.Equal(t, 8*time.Hour, leased.secret.MaxTTL.Round(time.Minute), "the idle timeout bounds one renewal, not the sum")
	for range 5 {
		m.clock.Advance(9 * time.Minute)
		response, err := m.renew(leased, 0)
		require.NoError(t, err)
		require.Equal(t, 10*time.Minute, response.Secret.TTL)
		require.Len(t, m.leased("fortianalyzer"), 1)
	}
}

func TestRenew_LeaseExtended_SweepKeepsTheCredential(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	_, err := m.renew(leased, time.Hour)
	require.NoError(t, err)
	m.runPeriodicAfter(15*time.Minute + lease.LostLeaseGrace + time.Minute)
	require.Len(t, m.leased("ftd"), 1, "the renewed lease still holds it")
}

func TestRenew_NotPossible_NamesTheReasonOrRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*mount, *vaultLease)
		text    string
	}{
		"credential ended at the vendor": {func(m *mount, _ *vaultLease) { m.clock.Advance(3 * time.Hour) }, "creds/ftd"},
		"role deleted":                   {func(m *mount, _ *vaultLease) { m.must(logical.DeleteOperation, "roles/ftd", nil) }, "was deleted"},
		"credential revoked":             {func(m *mount, l *vaultLease) { require.NoError(m.t, m.revoke(l)) }, "revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.clock.endWaits()
			leased := m.read("ftd")
			test.prepare(m, leased)
			_, err := m.renew(leased, 0)
			require.ErrorContains(t, err, test.text)
		})
	}
}

func TestRenew_RoleTTLChanged_UsesTheNewTTL(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"ttl": "5m"})
	response, err := m.renew(leased, 0)
	require.NoError(t, err)
	require.LessOrEqual(t, response.Secret.TTL, 5*time.Minute)
}

func TestRenew_SmallerIncrement_DoesNotShortenTheCredential(t *testing.T) {
	m := newConfiguredMount(t, "trend", map[string]any{"role_name": "Auditor", "ttl": "1h"})
	m.clock.endWaits()
	leased := m.read("trend")
	before := *m.leased("trend")[0].ExpiresAt
	m.fault(emulator.Fault{Vendor: "trend", Route: "modifyApiKey", DropAfter: true})
	_, err := m.renew(leased, time.Minute)
	require.Error(t, err, "the lease keeps its expiry")
	require.False(t, m.leased("trend")[0].ExpiresAt.Before(before.Add(-time.Second)))
}
