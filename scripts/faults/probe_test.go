package faults

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The probe is an operation of its own: no lease holds its credentials, so that only the ledger ends what a killed process
// leaves. Further failpoints, which it shares with reads and revocations, are passed by those.
var (
	probeProduct   = operation{name: "probe", fits: always, prepare: prepareNothing, act: probe, everywhere: true, verify: verifyProbe}
	probeRenewable = operation{name: "probe", fits: target.Renewable, prepare: prepareNothing, act: probe, everywhere: true, verify: verifyProbe}
	probeRevocable = operation{name: "probe", fits: target.revocable, prepare: prepareNothing, act: probe, everywhere: true, verify: verifyProbe}
)

func probe(ctx context.Context, sc *scenario) {
	_, _ = sc.vault().Logical().WriteWithContext(ctx, sc.path("config/%s/probe", sc.config), map[string]any{"confirm": sc.config, "role": sc.role})
}

// verifyProbe requires that the report of the killed probe says that it did not end, and that the next probe runs: to its
// end, or until it finds the slots of the product in use, which it then says.
func verifyProbe(t *testing.T, sc *scenario) {
	t.Helper()
	path := sc.path("config/%s/probe", sc.config)
	left, err := sc.vault().Logical().ReadWithContext(t.Context(), path)
	require.NoError(t, err, "%s", sc)
	require.NotEqual(t, "running", left.Data["state"], "%s: no process makes this probe", sc)
	if left.Data["state"] == "interrupted" { // otherwise Vault has sent the request again, which made a probe of its own
		require.Contains(t, left.Data["report"], "process", "%s", sc)
	}
	var report string
	var state any
	err = awaitSent(func() error {
		next, err := sc.vault().Logical().WriteWithContext(t.Context(), path, map[string]any{"confirm": sc.config, "role": sc.role})
		if err == nil {
			report, state = next.Data["report"].(string), next.Data["state"]
		}
		return err
	})
	require.NoError(t, err, "%s", sc)
	if state != "complete" {
		require.Equal(t, "interrupted", state, "%s", report)
		require.True(t, strings.Contains(report, "no slot is free") || strings.Contains(report, "the probe ended early"), "%s: %s", sc, report)
	}
}
