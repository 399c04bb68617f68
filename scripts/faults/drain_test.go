package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// drain revokes all leases and makes the engine sweep its ledger until both are empty. It reports what remains against
// the scenario that caused it.
func (cl *cluster) drain(t *testing.T) {
	t.Helper()
	begun := time.Now()
	cl.mu.Lock()
	scenarios := maps.Clone(cl.scenarios)
	cl.mu.Unlock()
	var remaining []string
	empty := await(drainTimeout, func() bool {
		remaining = remaining[:0]
		for role, sc := range scenarios {
			if !cl.revokeLeases(t.Context(), role) {
				remaining = append(remaining, "lease of "+role+" ("+sc.fault+", "+sc.target.label+")")
				continue
			}
			delete(scenarios, role)
		}
		for _, config := range cl.openConfigs("") {
			remaining = append(remaining, cl.tidy(t, config)...)
		}
		cl.reportUnledgered(t)
		return len(remaining) == 0
	})
	for _, what := range remaining {
		t.Errorf("not ended after %s: %s", drainTimeout, what)
	}
	for _, v := range emulatedTargets() {
		live, err := cl.liveCredentials(t.Context(), v.Name)
		require.NoError(t, err)
		for _, c := range live {
			if cl.reported[c.ID] {
				continue
			}
			sc := cl.scenarioOf(c, v)
			t.Errorf("%s: still live after all leases have ended: %+v", sc, c)
			record(sc.fault, sc.target.label, row{orphans: 1})
		}
	}
	progress("%s: everything has ended: %t, after %s", t.Name(), empty, time.Since(begun).Round(100*time.Millisecond))
}

// tidy makes the engine sweep a config, and returns the ledger entries that remain. A config without entries is no
// longer open, except one that all scenarios of a vendor share.
func (cl *cluster) tidy(t *testing.T, config string) []string {
	t.Helper()
	answer, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s/tidy", config), nil)
	if err != nil {
		return []string{config + ": " + err.Error()}
	}
	if markers, _ := answer.Data["orphans"].([]any); len(markers) > 0 {
		cl.reportOrphans(t, config, markers)
	}
	entries, err := cl.entries(t.Context(), config)
	if err != nil {
		return []string{config + ": " + err.Error()}
	}
	var remaining []string
	for _, e := range entries {
		remaining = append(remaining, fmt.Sprintf("ledger entry %s of role %s: %s %s", e.id, e.role, e.state, e.lastError))
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if len(remaining) == 0 && cl.open[config].Sessions == 0 {
		delete(cl.open, config)
	}
	return remaining
}

// reportUnledgered counts the live credentials of all vendors that have no ledger entry.
func (cl *cluster) reportUnledgered(t *testing.T) {
	t.Helper()
	for _, v := range emulatedTargets() {
		for _, c := range cl.orphans(t, v) {
			sc := cl.scenarioOf(c, v)
			t.Errorf("%s: live at the vendor and no longer in the ledger: %+v", sc, c)
			record(sc.fault, sc.target.label, row{orphans: 1})
		}
	}
}

// reportOrphans counts the credentials that the engine found at a vendor without a ledger entry, and has revoked.
func (cl *cluster) reportOrphans(t *testing.T, config string, markers []any) {
	t.Helper()
	cl.mu.Lock()
	v := cl.open[config]
	cl.mu.Unlock()
	all, err := cl.server.Control().Credentials(t.Context(), v.Name)
	require.NoError(t, err)
	for _, c := range all {
		if c.EndedBy == "expired" || cl.reported[c.ID] || !slices.Contains(markers, any(c.Marker)) {
			continue
		}
		cl.reported[c.ID] = true
		sc := cl.scenarioOf(c, v)
		t.Errorf("%s: the engine had no ledger entry of %+v", sc, c)
		record(sc.fault, sc.target.label, row{orphans: 1})
	}
}

// revokeLeases revokes the leases of a role and reports whether none remains.
func (cl *cluster) revokeLeases(ctx context.Context, role string) bool {
	if err := cl.vault().Sys().RevokePrefixWithContext(ctx, cl.path("creds/%s", role)); err != nil {
		return false
	}
	remaining, err := cl.leases(ctx, role)
	return err == nil && len(remaining) == 0
}

// scenarioOf returns the scenario in which a credential was issued.
func (cl *cluster) scenarioOf(c devserver.Credential, v target) *scenario {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	found := &scenario{fault: "unknown", target: v}
	for _, sc := range cl.scenarios {
		if sc.target.Name != v.Name {
			continue
		}
		if strings.Contains(c.Marker, "-"+sc.role+"-") || strings.Contains(c.Marker, "-"+sc.shared+"-") ||
			c.Marker == "" && !sc.begun.After(c.IssuedAt) && sc.begun.After(found.begun) {
			found = sc
		}
	}
	return found
}
