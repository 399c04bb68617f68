package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// transit is what the engine's answer may take to Vault, which counts the new lease from its arrival. A vendor's
// credential that is renewed to the utmost ends that much earlier.
const transit = time.Second

// renewalCase is how a vendor's credential can be renewed, and how somebody there ends it.
type renewalCase struct {
	vendorCase
	// longest is the longest that a lease lasts without another renewal, when max_ttl is an hour.
	longest time.Duration
	// moves is true where a renewal moves the end at the vendor, and so a longer max_ttl helps those too that
	// were issued before.
	moves bool
	// end ends the credential at the vendor, behind the engine's back.
	end func(t *testing.T, credential map[string]any)
}

// renewalCases are the vendors whose leases can be renewed.
func renewalCases() map[string]renewalCase {
	act := func(t *testing.T, vendor, action string, arguments map[string]string) {
		t.Helper()
		_, err := server.Control().Act(t.Context(), vendor, action, arguments)
		require.NoError(t, err)
	}
	cases := map[string]renewalCase{
		// fortianalyzer: the idle timeout, of 15 minutes, bounds what a renewal brings.
		"fortianalyzer": {longest: 15 * time.Minute, moves: true, end: func(t *testing.T, _ map[string]any) {
			act(t, "fortianalyzer", "end_sessions", nil)
		}},
		"ftd": {longest: time.Hour, end: func(t *testing.T, _ map[string]any) {
			act(t, "ftd", "reboot", nil)
		}},
		"trend": {longest: time.Hour, moves: true, end: func(t *testing.T, credential map[string]any) {
			act(t, "trend", "delete_key", map[string]string{"id": credential["api_key_id"].(json.Number).String()})
		}},
	}
	for _, vendor := range vendorCases() {
		if test, renewable := cases[vendor.vendor]; renewable {
			test.vendorCase = vendor
			cases[vendor.vendor] = test
		}
	}
	return cases
}

// forEachRenewable runs a test for each vendor, with a mount and vendors that know nothing.
func forEachRenewable(t *testing.T, test func(t *testing.T, client *api.Client, mountPath string, vendor renewalCase)) {
	t.Helper()
	cases := renewalCases()
	for _, vendor := range vendorCases() {
		if vendor.renewable {
			require.Contains(t, cases, vendor.vendor)
		}
	}
	for name, vendor := range cases {
		t.Run(name, func(t *testing.T) {
			client, mountPath := reset(t)
			write(t, client, mountPath+"/config/main", configFields(t, name))
			test(t, client, mountPath, vendor)
		})
	}
}

// writeTTLs writes the role with TTLs.
func writeTTLs(t *testing.T, client *api.Client, mountPath string, vendor renewalCase, ttl, maxTTL string) {
	t.Helper()
	role := maps.Clone(vendor.role)
	if role == nil {
		role = map[string]any{}
	}
	role["config"], role["ttl"], role["max_ttl"] = "main", ttl, maxTTL
	write(t, client, mountPath+"/roles/app", role)
}

// renew renews a lease, which has to succeed, and proves what it promises: the vendor takes the credential, and
// will until the new end of the lease at least.
func renew(t *testing.T, client *api.Client, vendor renewalCase, secret *api.Secret, increment time.Duration) time.Duration {
	t.Helper()
	renewed, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, int(increment.Seconds()))
	require.NoError(t, err)
	ends, atVendor := leaseEnd(t, client, secret.LeaseID), vendorEnd(t, vendor)
	require.False(t, atVendor.Before(ends.Add(-transit)), "the lease ends at %s, after the credential, at %s", ends, atVendor)
	require.Equal(t, http.StatusOK, vendor.use(t, secret.Data))
	return time.Duration(renewed.LeaseDuration) * time.Second
}

// leaseEnd is when Vault ends a lease.
func leaseEnd(t *testing.T, client *api.Client, lease string) time.Time {
	t.Helper()
	found, err := client.Sys().LookupWithContext(t.Context(), lease)
	require.NoError(t, err)
	ends, err := time.Parse(time.RFC3339, found.Data["expire_time"].(string))
	require.NoError(t, err)
	return ends
}

// vendorEnd is when the vendor ends the only credential that is leased.
func vendorEnd(t *testing.T, vendor renewalCase) time.Time {
	t.Helper()
	credentials, err := server.Control().Credentials(t.Context(), vendor.vendor)
	require.NoError(t, err)
	var ends []time.Time
	for _, credential := range credentials {
		if credential.Live && credential.Kind == "leased" {
			require.NotNil(t, credential.ExpiresAt)
			ends = append(ends, *credential.ExpiresAt)
		}
	}
	require.Len(t, ends, 1)
	return ends[0]
}

func TestRenewal_WhatItPromisesIsTrueAtTheVendor(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor renewalCase) {
		writeTTLs(t, client, mountPath, vendor, "5m", "1h")
		secret := read(t, client, mountPath+"/creds/app")
		for _, step := range []struct{ increment, want time.Duration }{
			{0, 5 * time.Minute},               // the role's ttl
			{10 * time.Minute, vendor.longest}, // as asked, up to the idle timeout
			{30 * time.Minute, vendor.longest},
			{2 * time.Minute, 2 * time.Minute}, // less than was left is granted too
			{24 * time.Hour, vendor.longest},   // past max_ttl
		} {
			want := step.want
			if step.increment > 0 {
				want = min(step.increment, vendor.longest)
			}
			require.InDelta(t, want.Seconds(), renew(t, client, vendor, secret, step.increment).Seconds(), 5, "increment %s", step.increment)
		}

		left := time.Until(leaseEnd(t, client, secret.LeaseID))
		require.NoError(t, server.Control().Advance(t.Context(), left-2*time.Second))
		require.Equal(t, http.StatusOK, vendor.use(t, secret.Data), "the credential works to the end of the lease")
	})
}

func TestRenewal_AtMaxTTL_BringsNothingAndTheLeaseEnds(t *testing.T) {
	client, mountPath := reset(t)
	tests := map[string]func(*testing.T){}
	for name, vendor := range renewalCases() {
		own := mountPath + "-" + name
		mount(t, client, own)
		write(t, client, own+"/config/main", configFields(t, name))
		writeTTLs(t, client, own, vendor, "3s", "5s")
		tests[name] = func(t *testing.T) {
			secret := read(t, client, own+"/creds/app")
			issued := time.Now()
			require.InDelta(t, 5, renew(t, client, vendor, secret, time.Hour).Seconds(), 1)
			require.False(t, leaseEnd(t, client, secret.LeaseID).After(issued.Add(6*time.Second)))

			var err error
			require.Eventually(t, func() bool {
				_, err = client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 3600)
				return err != nil
			}, 30*time.Second, pollInterval, "renewals do not go on for ever")
			status, text := statusOf(t, err)
			require.Equal(t, http.StatusBadRequest, status, text)
			require.Eventually(t, func() bool { return vendor.use(t, secret.Data) != http.StatusOK }, 30*time.Second, pollInterval,
				"the credential ends with its lease")
		}
	}
	sideBySide(t, tests)
}

func TestRenewal_CredentialDiedAtTheVendor_IsRefusedWithTheRemedy(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor renewalCase) {
		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		secret := read(t, client, mountPath+"/creds/app")
		renew(t, client, vendor, secret, 0)
		vendor.end(t, secret.Data)
		require.NotEqual(t, http.StatusOK, vendor.use(t, secret.Data))

		_, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 0)
		status, text := statusOf(t, err)
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, "read a new one from creds/app")

		// What a watcher does next.
		another := read(t, client, mountPath+"/creds/app")
		require.Equal(t, http.StatusOK, vendor.use(t, another.Data))
		require.NoError(t, client.Sys().RevokeWithContext(t.Context(), secret.LeaseID), "the dead one's lease can be revoked")
		require.Equal(t, http.StatusOK, vendor.use(t, another.Data))
	})
}

func TestRenewal_RoleWasChanged_FollowsTheNewTTLs(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor renewalCase) {
		writeTTLs(t, client, mountPath, vendor, "5m", "30m")
		secret := read(t, client, mountPath+"/creds/app")

		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		require.InDelta(t, 600, renew(t, client, vendor, secret, 0).Seconds(), 5)
		want := min(vendor.longest, 30*time.Minute+15*time.Second) // what was issued ends then, wherever the end is fixed
		if vendor.moves {
			want = vendor.longest
		}
		require.InDelta(t, want.Seconds(), renew(t, client, vendor, secret, time.Hour).Seconds(), 5)

		writeTTLs(t, client, mountPath, vendor, "2m", "4m")
		require.InDelta(t, 120, renew(t, client, vendor, secret, 0).Seconds(), 5)
		require.InDelta(t, 240, renew(t, client, vendor, secret, time.Hour).Seconds(), 5, "counted from the issue")
	})
}

func TestRenewal_RoleWasDeleted_IsRefusedAndTheLeaseRunsToItsEnd(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor renewalCase) {
		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		secret := read(t, client, mountPath+"/creds/app")
		_, err := client.Logical().DeleteWithContext(t.Context(), mountPath+"/roles/app")
		require.NoError(t, err)

		_, err = client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 0)
		status, text := statusOf(t, err)
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, "was deleted: its leases run to their end and are not renewed")
		require.Equal(t, http.StatusOK, vendor.use(t, secret.Data))

		require.NoError(t, client.Sys().RevokeWithContext(t.Context(), secret.LeaseID))
		require.NotEqual(t, http.StatusOK, vendor.use(t, secret.Data))
	})
}

func TestRenewal_VendorUnreachable_LeavesLeaseAndCredentialAlone(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor renewalCase) {
		fields := map[string]any{"max_retries": 0, "verify_connection": false}
		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		write(t, client, mountPath+"/config/main", fields)
		secret := read(t, client, mountPath+"/creds/app")
		ends := leaseEnd(t, client, secret.LeaseID)
		refuseAll(t, vendor.vendor)
		client.SetMaxRetries(0)
		_, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 1200)
		status, text := statusOf(t, err)
		require.GreaterOrEqual(t, status, 400, text)
		require.NoError(t, server.Control().ClearFaults(t.Context(), vendor.vendor))

		require.Equal(t, ends, leaseEnd(t, client, secret.LeaseID))
		require.InDelta(t, min(vendor.longest, 20*time.Minute).Seconds(), renew(t, client, vendor, secret, 20*time.Minute).Seconds(), 5)
	})
}
