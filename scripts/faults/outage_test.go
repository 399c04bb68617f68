package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// outages are ways in which a vendor is unavailable.
func outages() map[string]devserver.Fault {
	return map[string]devserver.Fault{
		"drops every connection": {DropBefore: true},
		"answers 503":            {Status: 503},
		"hangs":                  {Delay: 10 * time.Second},
	}
}

func TestVendor_UnavailableAtExpiry_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 5*time.Second)
	for how, outage := range outages() {
		var scenarios []*scenario
		for _, v := range targets() {
			sc := cl.begin(t, "vendor "+how+" while leases expire", "read", v)
			sc.mustRead(t, sc.role)
			sc.mustRead(t, sc.shared)
			scenarios = append(scenarios, sc)
		}
		for _, v := range emulatedTargets() {
			fault := outage
			fault.Vendor, fault.Route = v.Name, "*"
			require.NoError(t, cl.server.Control().AddFault(t.Context(), fault))
		}
		for _, sc := range scenarios {
			renewHeld(t.Context(), sc)
			_, err := sc.read(t.Context(), sc.vault(), sc.role)
			require.Error(t, err, "%s", sc)
			sc.awaitExpiry(t)
		}
		for _, v := range emulatedTargets() {
			require.NoError(t, cl.server.Control().ClearFaults(t.Context(), v.Name))
		}
		for _, sc := range scenarios {
			sc.conclude(t)
		}
		progress("vendor %s", how)
	}
	cl.drain(t)
}

// awaitExpiry waits until Vault has tried to revoke all leases of the scenario, and the ledger says for each credential
// that its revocation failed or is not possible.
func (sc *scenario) awaitExpiry(t *testing.T) {
	t.Helper()
	var entries map[string]entry
	require.True(t, await(recoveryTimeout, func() bool {
		var err error
		entries, err = sc.entries(t.Context(), sc.config)
		require.NoError(t, err, "%s", sc)
		for _, e := range entries {
			if (e.role == sc.role || e.role == sc.shared) && e.state == "live" {
				return false
			}
		}
		return true
	}), "%s: %+v", sc, entries)
}

// A renewal whose answer was lost has moved the credential's end at the vendor past the recorded end. The outage that
// follows lasts longer than the recorded end.
func TestRenewal_AnswerLostBeforeOutage_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 2*time.Second)
	control := cl.server.Control()
	for _, v := range labeled("trend") {
		sc := cl.begin(t, "answer to a renewal lost, then outage past the recorded end", "renew", v)
		sc.mustRead(t, sc.role)
		require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.Name, Route: v.Operations.Renew, DropAfter: true}))
		for _, id := range sc.held() {
			_, err := cl.vault().Sys().RenewWithContext(t.Context(), id, int((5 * time.Minute).Seconds()))
			require.Error(t, err, "%s", sc)
		}
		require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.Name, Route: "*", DropBefore: true}))
		// An engine that waits for the vendor's confirmation keeps the entry.
		deleted := await(cl.ttl+recordedMargin, func() bool { return len(cl.tidy(t, sc.config)) == 0 })
		progress("ledger entry deleted during the outage: %t", deleted)
		require.NoError(t, control.ClearFaults(t.Context(), v.Name))
		sc.conclude(t)
	}
	cl.drain(t)
}

// recordedMargin is how long the engine keeps a ledger entry after the end of its lease: the margin of the credential's
// life, and the grace after that.
const recordedMargin = 40 * time.Second

// The answer with a token is lost, and the vendor alone decides how long that token lives.
func TestIssue_AnswerLostTokenOutlivesTTL_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 2*time.Second)
	control := cl.server.Control()
	require.NoError(t, control.SetSwitch(t.Context(), "fortisiem", "access_token_expiry", "2m30s"))
	for _, v := range labeled("fortisiem", "fortisiem+hook") {
		sc := cl.begin(t, "answer lost, and the token outlives the ttl", "read", v)
		loseAnswer(t, sc)
		sc.conclude(t)
	}
	cl.drain(t)
}

// The other tests rely on this: they detect a credential without a ledger entry, and one that ended at the vendor.
func TestChecks_OrphansAndLostLeases_AreDetected(t *testing.T) {
	t.Parallel()
	cl := newCluster(t, 1, time.Minute)
	for _, v := range targets() {
		sc := cl.begin(t, "none", "self-test", v)
		sc.mustRead(t, sc.role)
		require.Empty(t, cl.orphans(t, v), "%s", sc)
		require.Empty(t, sc.lostLeases(t), "%s", sc)
		cl.deleteEntries(t, sc)
		require.Len(t, cl.orphans(t, v), 1, "%s: a credential without a ledger entry", sc)
		require.Len(t, sc.lostLeases(t), 1, "%s: a lease without a ledger entry", sc)
	}
	require.NoError(t, cl.server.Control().Reset(t.Context()))
	for _, sc := range cl.scenarios {
		require.Len(t, sc.lostLeases(t), 1, "%s: a credential that ended at the vendor", sc)
	}
}

// deleteEntries deletes the ledger entries of a scenario from Vault's storage without the engine's knowledge.
func (cl *cluster) deleteEntries(t *testing.T, sc *scenario) {
	t.Helper()
	mounts, err := cl.vault().Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	uuid := mounts[cl.server.MountPath()+"/"].UUID
	entries, err := sc.entries(t.Context(), sc.config)
	require.NoError(t, err)
	require.Len(t, entries, 1, "%s", sc)
	for id := range entries {
		_, err := cl.vault().Logical().DeleteWithContext(t.Context(), fmt.Sprintf("sys/raw/logical/%s/ledger/%s/%s", uuid, sc.config, id))
		require.NoError(t, err)
	}
	require.NoError(t, cl.server.KillPlugin())
	cl.awaitPlugin(t)
}
