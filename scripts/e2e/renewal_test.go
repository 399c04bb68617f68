package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// transitAllowance is the longest time that the engine's answer takes to reach Vault, which counts the new lease from
// its arrival. A credential that is renewed up to its maximum ends that much earlier than the lease.
const transitAllowance = time.Second

// renewableVendors are the vendors whose leases can be renewed.
func renewableVendors() []vendorfacts.Vendor {
	var renewable []vendorfacts.Vendor
	for _, vendor := range vendorfacts.All() {
		if vendor.Renewable() {
			renewable = append(renewable, vendor)
		}
	}
	return renewable
}

// forEachRenewable is forEachVendor for the vendors whose leases can be renewed.
func forEachRenewable(t *testing.T, test func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor)) {
	t.Helper()
	for _, vendor := range renewableVendors() {
		t.Run(vendor.Name, func(t *testing.T) {
			client, mountPath := reset(t)
			write(t, client, mountPath+"/config/main", configFields(t, vendor.Name))
			test(t, client, mountPath, vendor)
		})
	}
}

// writeTTLs writes the role with TTLs.
func writeTTLs(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor, ttl, maxTTL string) {
	t.Helper()
	write(t, client, mountPath+"/roles/app", roleFields(vendor, map[string]any{"ttl": ttl, "max_ttl": maxTTL}))
}

// renew renews a lease, which must succeed, and verifies that the vendor keeps the engine's promise: it accepts the
// credential, and the credential does not end before the lease.
func renew(t *testing.T, client *api.Client, vendor vendorfacts.Vendor, secret *api.Secret, increment time.Duration) time.Duration {
	t.Helper()
	renewed, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, int(increment.Seconds()))
	require.NoError(t, err)
	leaseEnds, credentialEnds := leaseEnd(t, client, secret.LeaseID), vendorEnd(t, vendor)
	require.False(t, credentialEnds.Before(leaseEnds.Add(-transitAllowance)),
		"the lease ends at %s, after the credential, which ends at %s", leaseEnds, credentialEnds)
	requireAccepted(t, vendor, secret.Data)
	return time.Duration(renewed.LeaseDuration) * time.Second
}

// leaseEnd returns when Vault ends a lease.
func leaseEnd(t *testing.T, client *api.Client, lease string) time.Time {
	t.Helper()
	found, err := client.Sys().LookupWithContext(t.Context(), lease)
	require.NoError(t, err)
	ends, err := time.Parse(time.RFC3339, found.Data["expire_time"].(string))
	require.NoError(t, err)
	return ends
}

// vendorEnd returns when the vendor ends the only leased credential.
func vendorEnd(t *testing.T, vendor vendorfacts.Vendor) time.Time {
	t.Helper()
	credentials, err := server.Control().Credentials(t.Context(), vendor.Name)
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

func TestRenewal_Granted_CredentialLastsToTheEndOfTheLease(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		writeTTLs(t, client, mountPath, vendor, "5m", "1h")
		longest := vendor.LongestLease(time.Hour)
		secret := read(t, client, mountPath+"/creds/app")
		for _, step := range []struct{ increment, want time.Duration }{
			{0, 5 * time.Minute},        // the role's ttl
			{10 * time.Minute, longest}, // as requested, up to the idle timeout
			{30 * time.Minute, longest},
			{2 * time.Minute, 2 * time.Minute}, // a shorter lease is granted too
			{24 * time.Hour, longest},          // past max_ttl
		} {
			want := step.want
			if step.increment > 0 {
				want = min(step.increment, longest)
			}
			require.InDelta(t, want.Seconds(), renew(t, client, vendor, secret, step.increment).Seconds(), 5, "increment %s", step.increment)
		}

		remaining := time.Until(leaseEnd(t, client, secret.LeaseID))
		require.NoError(t, server.Control().Advance(t.Context(), remaining-2*time.Second))
		requireAccepted(t, vendor, secret.Data, "the credential works to the end of the lease")
	})
}

func TestRenewal_AtMaxTTL_IsRefusedAndTheLeaseEnds(t *testing.T) {
	client, mountPath := reset(t)
	tests := map[string]func(*testing.T){}
	for _, vendor := range renewableVendors() {
		own := mountPath + "-" + vendor.Name
		mount(t, client, own)
		write(t, client, own+"/config/main", configFields(t, vendor.Name))
		writeTTLs(t, client, own, vendor, "3s", "5s")
		tests[vendor.Name] = func(t *testing.T) {
			secret := read(t, client, own+"/creds/app")
			issued := time.Now()
			require.InDelta(t, 5, renew(t, client, vendor, secret, time.Hour).Seconds(), 1)
			require.False(t, leaseEnd(t, client, secret.LeaseID).After(issued.Add(6*time.Second)))

			var err error
			require.Eventually(t, func() bool {
				_, err = client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 3600)
				return err != nil
			}, 30*time.Second, pollInterval, "renewals stop at max_ttl")
			status, text := statusOf(t, err)
			require.Equal(t, http.StatusBadRequest, status, text)
			require.Eventually(t, func() bool { return use(t, vendor, secret.Data) == vendorfacts.Refused }, 30*time.Second, pollInterval,
				"the credential ends with its lease")
		}
	}
	runConcurrently(t, tests)
}

func TestRenewal_CredentialEndedAtVendor_IsRefusedWithRemedy(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		secret := read(t, client, mountPath+"/creds/app")
		renew(t, client, vendor, secret, 0)
		endAtVendor(t, vendor, secret.Data)
		requireRefused(t, vendor, secret.Data)

		_, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 0)
		status, text := statusOf(t, err)
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, "read a new one from creds/app")

		// A lifetime watcher reads another credential then.
		another := read(t, client, mountPath+"/creds/app")
		requireAccepted(t, vendor, another.Data)
		revokeLease(t, client, secret.LeaseID)
		requireAccepted(t, vendor, another.Data)
	})
}

func TestRenewal_RoleWasChanged_FollowsTheNewTTLs(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		writeTTLs(t, client, mountPath, vendor, "5m", "30m")
		longest := vendor.LongestLease(time.Hour)
		secret := read(t, client, mountPath+"/creds/app")

		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		require.InDelta(t, 600, renew(t, client, vendor, secret, 0).Seconds(), 5)
		want := longest
		if vendor.Renewal == vendorfacts.RenewalWithinLife {
			want = min(longest, 30*time.Minute+15*time.Second) // the end was fixed at the issue, for the old max_ttl
		}
		require.InDelta(t, want.Seconds(), renew(t, client, vendor, secret, time.Hour).Seconds(), 5)

		writeTTLs(t, client, mountPath, vendor, "2m", "4m")
		require.InDelta(t, 120, renew(t, client, vendor, secret, 0).Seconds(), 5)
		require.InDelta(t, 240, renew(t, client, vendor, secret, time.Hour).Seconds(), 5, "max_ttl counts from the issue")
	})
}

func TestRenewal_RoleWasDeleted_IsRefusedAndTheLeaseStays(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		secret := read(t, client, mountPath+"/creds/app")
		_, err := client.Logical().DeleteWithContext(t.Context(), mountPath+"/roles/app")
		require.NoError(t, err)

		_, err = client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 0)
		status, text := statusOf(t, err)
		require.Equal(t, http.StatusBadRequest, status, text)
		require.Contains(t, text, "was deleted: its leases run to their end and are not renewed")
		requireAccepted(t, vendor, secret.Data)

		revokeLease(t, client, secret.LeaseID)
		requireRefused(t, vendor, secret.Data)
	})
}

func TestRenewal_VendorUnreachable_ChangesNothing(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		fields := map[string]any{"max_retries": 0, "verify_connection": false}
		writeTTLs(t, client, mountPath, vendor, "10m", "1h")
		write(t, client, mountPath+"/config/main", fields)
		secret := read(t, client, mountPath+"/creds/app")
		ends := leaseEnd(t, client, secret.LeaseID)
		dropConnections(t, vendor.Name)
		client.SetMaxRetries(0)
		_, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 1200)
		status, text := statusOf(t, err)
		require.GreaterOrEqual(t, status, 400, text)
		require.NoError(t, server.Control().ClearFaults(t.Context(), vendor.Name))

		require.Equal(t, ends, leaseEnd(t, client, secret.LeaseID))
		want := min(vendor.LongestLease(time.Hour), 20*time.Minute)
		require.InDelta(t, want.Seconds(), renew(t, client, vendor, secret, 20*time.Minute).Seconds(), 5)
	})
}
