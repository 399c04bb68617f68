package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// outages are ways of not being there.
func outages() map[string]devserver.Fault {
	return map[string]devserver.Fault{
		"cuts every connection": {DropBefore: true},
		"answers 503":           {Status: 503},
		"hangs":                 {Delay: 10 * time.Second},
	}
}

func TestVendorIsOutWhileLeasesExpire(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	s := newStand(t, 1, 5*time.Second)
	for how, outage := range outages() {
		var trials []*scenario
		for _, v := range vendors() {
			o := s.begin(t, "vendor "+how+" while leases expire", "read", v)
			o.mustRead(t, o.role)
			o.mustRead(t, o.shared)
			trials = append(trials, o)
		}
		for _, v := range emulated() {
			hit := outage
			hit.Vendor, hit.Route = v.emulated, "*"
			require.NoError(t, s.server.Control().AddFault(t.Context(), hit))
		}
		for _, o := range trials {
			for _, id := range o.held() {
				_ = o.renew(t.Context(), o.vault(), id)
			}
			_, err := o.read(t.Context(), o.vault(), o.role)
			require.Error(t, err, "%s", o)
			o.awaitExpiry(t)
		}
		for _, v := range emulated() {
			require.NoError(t, s.server.Control().ClearFaults(t.Context(), v.emulated))
		}
		for _, o := range trials {
			o.conclude(t)
		}
		progress("vendor %s", how)
	}
	s.drain(t)
}

// awaitExpiry waits until Vault has tried to revoke all leases of a trial, and the engine has written down that
// it failed, or that nothing can be done.
func (o *scenario) awaitExpiry(t *testing.T) {
	t.Helper()
	var accounts map[string]account
	require.True(t, await(patience, func() bool {
		var err error
		accounts, err = o.accounts(t.Context(), o.config)
		require.NoError(t, err, "%s", o)
		for _, a := range accounts {
			if (a.role == o.role || a.role == o.shared) && a.state == "live" {
				return false
			}
		}
		return true
	}), "%s: %+v", o, accounts)
}

// A renewal that was served and not heard has moved the end at the vendor past the one that is recorded. An
// outage then outlasts the recorded one.
func TestRenewalUnheard_ThenVendorIsOutPastTheRecordedEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	s := newStand(t, 1, 2*time.Second)
	control := s.server.Control()
	for _, v := range named("trend") {
		o := s.begin(t, "renewal unheard, then outage past recorded end", "renew", v)
		o.mustRead(t, o.role)
		require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.emulated, Route: v.renew, DropAfter: true}))
		for _, id := range o.held() {
			_, err := s.vault().Sys().RenewWithContext(t.Context(), id, int((5 * time.Minute).Seconds()))
			require.Error(t, err, "%s", o)
		}
		require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.emulated, Route: "*", DropBefore: true}))
		// An engine that waits for the vendor's own word does not forget it.
		forgotten := await(s.ttl+recordedMargin, func() bool { return len(s.settle(t, o.config)) == 0 })
		progress("forgotten during the outage: %t", forgotten)
		require.NoError(t, control.ClearFaults(t.Context(), v.emulated))
		o.conclude(t)
	}
	s.drain(t)
}

// recordedMargin is how long after its lease's end the account of a credential is kept: the margin of its life, and
// the grace after that.
const recordedMargin = 40 * time.Second

// A token whose life the vendor alone decides, made for an answer that was lost.
func TestAnswerLost_TokenOutlivesTheTTL(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	s := newStand(t, 1, 2*time.Second)
	control := s.server.Control()
	require.NoError(t, control.SetSwitch(t.Context(), "fortisiem", "access_token_expiry", "2m30s"))
	for _, v := range named("fortisiem", "fortisiem+hook") {
		o := s.begin(t, "answer lost, and the token outlives the ttl", "read", v)
		require.NoError(t, control.AddFault(t.Context(), devserver.Fault{Vendor: v.emulated, Route: v.issue, DropAfter: true, Times: 1}))
		_, err := o.read(t.Context(), o.vault(), o.role)
		require.Error(t, err, "%s", o)
		o.conclude(t)
	}
	s.drain(t)
}

// What the other tests rely on: what is not in the ledger, and what a person has ended, is seen.
func TestAccounts_OrphansAndLostLeasesAreSeen(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1, time.Minute)
	for _, v := range vendors() {
		o := s.begin(t, "none", "self-test", v)
		o.mustRead(t, o.role)
		require.Empty(t, s.orphans(t, v), "%s", o)
		require.Empty(t, o.lost(t), "%s", o)
		s.forget(t, o)
		require.Len(t, s.orphans(t, v), 1, "%s: a credential without an account", o)
		require.Len(t, o.lost(t), 1, "%s: a lease without an account", o)
	}
	require.NoError(t, s.server.Control().Reset(t.Context()))
	for _, o := range s.trials {
		require.Len(t, o.lost(t), 1, "%s: a credential that was ended at the vendor", o)
	}
}

// forget takes the accounts of a trial out of the storage behind the engine's back.
func (s *cluster) forget(t *testing.T, o *scenario) {
	t.Helper()
	mounts, err := s.vault().Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	uuid := mounts[s.server.MountPath()+"/"].UUID
	accounts, err := o.accounts(t.Context(), o.config)
	require.NoError(t, err)
	require.Len(t, accounts, 1, "%s", o)
	for id := range accounts {
		_, err := s.vault().Logical().DeleteWithContext(t.Context(), fmt.Sprintf("sys/raw/logical/%s/ledger/%s/%s", uuid, o.config, id))
		require.NoError(t, err)
	}
	require.NoError(t, s.server.KillPlugin())
	s.awaitPlugin(t)
}
