package faults

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// A device restarts, or a person ends the credential at the vendor, while the config's only slot is taken. The renewal
// finds that out, and the next read gets the slot at once.
func TestRenewal_FindsCredentialDead_SlotIsFreeAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("the engine's own tests cover this without a server")
	}
	t.Parallel()
	cl := newCluster(t, 1, loadTTL)
	for _, v := range emulatedTargets() {
		if v.EndAction == nil {
			continue
		}
		for _, sharing := range []string{"exclusive", "shared"} {
			sc := cl.begin(t, "credential ended at the vendor, renewal, next read gets the only slot", sharing, v)
			role := map[string]string{"exclusive": sc.role, "shared": sc.shared}[sharing]
			cl.readDeadSlot(t, sc, role)
		}
		progress("slot of a dead credential: %s", v.label)
	}
	cl.drain(t)
}

// readDeadSlot runs the scenario of the test above for one role.
func (cl *cluster) readDeadSlot(t *testing.T, sc *scenario, role string) {
	t.Helper()
	var remaining []string
	require.True(t, await(recoveryTimeout, func() bool { remaining = cl.tidy(t, sc.config); return len(remaining) == 0 }),
		"%s: earlier scenarios have left %q", sc, remaining)
	cl.mu.Lock()
	cl.open[sc.config] = sc.target // tidy has found it empty
	cl.mu.Unlock()
	config := cl.path("config/%s", sc.config)
	_, err := cl.vault().Logical().WriteWithContext(t.Context(), config, map[string]any{"max_credentials": 1})
	require.NoError(t, err, "%s", sc)
	for range 2 {
		id, err := sc.read(t.Context(), cl.vault(), role)
		require.NoError(t, err, "%s", sc)
		end := sc.target.EndAction
		_, err = cl.server.Control().Act(t.Context(), sc.target.Name, end.Name, end.Arguments(sc.data[id]))
		require.NoError(t, err, "%s", sc)
		err = sc.renew(t.Context(), cl.vault(), id)
		var refused *api.ResponseError
		require.ErrorAs(t, err, &refused, "%s", sc)
		require.Equal(t, http.StatusBadRequest, refused.StatusCode, "%s: %v", sc, err)
		require.ErrorContains(t, err, "read a new one from creds/", "%s", sc)
		sc.abandon(id)
	}
	_, err = sc.read(t.Context(), cl.vault(), role)
	require.NoError(t, err, "%s: the slot of the dead credential is free", sc)
	sc.conclude(t)
	_, err = cl.vault().Logical().WriteWithContext(t.Context(), config, map[string]any{"max_credentials": nil})
	require.NoError(t, err, "%s", sc)
}
