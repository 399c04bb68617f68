package faults

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// setClock sets the plugin's clock ahead of the machine's, or back if the offset is negative. Vault and the vendors keep
// the machine's clock.
func (cl *cluster) setClock(t *testing.T, offset time.Duration) {
	t.Helper()
	file := filepath.Join(cl.failpointDir, "clock")
	if offset == 0 {
		if err := os.Remove(file); !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
		}
		return
	}
	require.NoError(t, os.WriteFile(file+".new", []byte(offset.String()), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// day is how far the wrong clocks are wrong.
const day = 24 * time.Hour

// The plugin's clock is a day ahead for a moment, in which the engine sweeps and clients read and renew. Nothing that is
// live at a vendor may leave the ledger, and no lease may lose its credential.
func TestClock_AheadForAMoment_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the engine's own tests cover this without a server")
	}
	t.Parallel()
	cl := newCluster(t, 1, loadTTL)
	for _, v := range targets() {
		sc := cl.begin(t, "plugin's clock a day ahead for a moment", "sweep, read and renew", v)
		sc.mustRead(t, sc.role)
		sc.mustRead(t, sc.shared)
		cl.setClock(t, day)
		_ = cl.tidy(t, sc.config)
		if v.Renewable() {
			renewHeld(t.Context(), sc)
		}
		if v.Marked { // the comparison with the ledger goes by time at the others
			_, _ = sc.read(t.Context(), sc.vault(), sc.role)
			_, _ = sc.read(t.Context(), sc.vault(), sc.shared)
		}
		cl.setClock(t, 0)
		_ = cl.tidy(t, sc.config)
		if v.Renewable() {
			for _, id := range sc.held() {
				require.NoError(t, sc.renew(t.Context(), sc.vault(), id), "%s", sc)
			}
		}
		sc.conclude(t)
	}
	progress("clock ahead for a moment")
	cl.drain(t)
}

// Revocations fail while the plugin's clock is a day ahead. After it was set back, they are retried at once and not in a
// day: Vault has given these leases up, so that the engine alone retries.
func TestClock_SetBackAfterFailure_RetriesAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, loadTTL)
	cl.setClock(t, day)
	var scenarios []*scenario
	for _, v := range targets() {
		if !v.revocable() {
			continue
		}
		sc := cl.begin(t, "plugin's clock set back a day after a failed revocation", "revoke", v)
		sc.mustRead(t, sc.role)
		cl.leaveUnrevoked(t, sc)
		scenarios = append(scenarios, sc)
	}
	cl.setClock(t, 0)
	for _, sc := range scenarios {
		sc.awaitSwept(t)
		sc.conclude(t)
	}
	progress("clock set back")
	cl.drain(t)
}

// leaveUnrevoked ends the scenario's leases in Vault while their vendor does not answer: the engine must revoke the
// credentials automatically.
func (cl *cluster) leaveUnrevoked(t *testing.T, sc *scenario) {
	t.Helper()
	restore := cl.cutOff(t, sc.target)
	defer restore()
	for _, role := range []string{sc.role, sc.shared} {
		for _, id := range sc.held() {
			sc.abandon(id)
		}
		require.NoError(t, cl.vault().Sys().RevokeForceWithContext(t.Context(), cl.path("creds/%s", role)), "%s", sc)
	}
}

// sweptWithin is the time in which the engine's background work, which Vault wakes once a minute, has swept a ledger whose
// vendor answers: at most a minute later than without any other work.
const sweptWithin = 2*time.Minute + 5*time.Second

// awaitSwept waits until the background work has revoked all credentials of the scenario, without a request for it.
func (sc *scenario) awaitSwept(t *testing.T) {
	t.Helper()
	var remaining []entry
	require.True(t, await(sweptWithin, func() bool {
		remaining = sc.remaining(t)
		return len(remaining) == 0
	}), "%s: %+v", sc, remaining)
}

// remaining returns the ledger entries of the scenario's roles.
func (sc *scenario) remaining(t *testing.T) []entry {
	t.Helper()
	entries, err := sc.entries(t.Context(), sc.config)
	require.NoError(t, err, "%s", sc)
	var own []entry
	for _, e := range entries {
		if e.role == sc.role || e.role == sc.shared {
			own = append(own, e)
		}
	}
	return own
}

// The clock of a vendor is a day back or a day ahead of Vault's all the time.
func TestClock_VendorIsWrong_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the engine's own tests cover this without a server")
	}
	t.Parallel()
	cl := newCluster(t, 1, loadTTL)
	// A clock that is set back would bring expired credentials to life: first back, then ahead.
	for _, skew := range []struct {
		name, value string
		fits        func(target) bool
	}{{"back", "-24h", target.revocable}, {"ahead", "24h", always}} {
		for _, v := range emulatedTargets() {
			require.NoError(t, cl.server.Control().SetSwitch(t.Context(), v.Name, "clock_skew", skew.value))
		}
		for _, v := range targets() {
			if !skew.fits(v) {
				continue // it would last into the next round
			}
			sc := cl.begin(t, "vendor's clock a day "+skew.name, "read and renew", v)
			sc.mustRead(t, sc.role)
			sc.mustRead(t, sc.shared)
			if v.Renewable() {
				for _, id := range sc.held() {
					require.NoError(t, sc.renew(t.Context(), sc.vault(), id), "%s", sc)
				}
			}
			sc.conclude(t)
		}
		progress("vendor's clock a day %s", skew.name)
	}
	cl.drain(t)
}

// A vendor creates the credential long after its caller has given up: after the first searches of its marker, and after
// the engine has released the slot.
func TestIssue_CreatedLate_LosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("the engine's own tests cover this without a server")
	}
	t.Parallel()
	cl := newCluster(t, 1, loadTTL)
	for _, v := range labeled("ftd", "trend") {
		sc := cl.begin(t, "credential created late, after its slot was released", "read", v)
		require.NoError(t, cl.server.Control().AddFault(t.Context(), devserver.Fault{
			Vendor: v.Name, Route: v.Operations.Issue, Delay: lateCreation, FinishAfterHangup: true, Times: 1,
		}))
		_, err := sc.read(t.Context(), cl.vault(), sc.role)
		require.Error(t, err, "%s", sc)
		var issued []devserver.Credential
		require.True(t, await(recoveryTimeout, func() bool {
			all, err := cl.server.Control().Credentials(t.Context(), v.Name)
			require.NoError(t, err)
			issued = all[sc.from:]
			if len(issued) == 0 {
				_ = cl.tidy(t, sc.config) // searches that find nothing
			}
			return len(issued) > 0
		}), "%s: the vendor has created nothing", sc)
		sc.conclude(t)
	}
	progress("credential created late")
	cl.drain(t)
}

// lateCreation is how long after the request the vendor creates the credential. The engine, as built for these tests,
// releases the slot after two seconds, and searches for 15 seconds at least.
const lateCreation = 6 * time.Second
