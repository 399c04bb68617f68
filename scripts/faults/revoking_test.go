package faults

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// queuedKeys is the number of revocations that wait for their turn, which takes ten minutes under queuedLimit.
	queuedKeys  = 50
	queuedLimit = 10
)

// Vault holds its state lock while it waits for the revocation of a lease. Vendors accept connections and never answer, or
// many revocations wait for their turn, while Vault is sealed and steps down.
func TestVault_RevokingAtSilentVendors_IsNotDelayed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	// A token that its vendor cannot revoke must expire while the ledger is drained.
	cl := newCluster(t, 1, 100*time.Second)
	_, err := cl.vault().Logical().WriteWithContext(t.Context(), "cubbyhole/other", map[string]any{"value": "1"})
	require.NoError(t, err)
	others := []string{"cubbyhole/other"}
	answering := cl.measureStops(t, others, func() {})

	var scenarios []*scenario
	for _, v := range labeled("ftd", "trend", "fortianalyzer", "fortisiem+hook", "lacework") {
		sc := cl.begin(t, "Vault revokes at silent vendors while it is sealed and steps down", "revoke", v)
		sc.setConfig(t, map[string]any{"request_timeout": "60s"})
		sc.mustRead(t, sc.role)
		sc.mustRead(t, sc.shared)
		scenarios = append(scenarios, sc)
	}
	token := scenarios[1].readWithToken(t)
	for _, sc := range scenarios {
		require.NoError(t, cl.server.Control().AddFault(t.Context(), devserver.Fault{Vendor: sc.target.Name, Route: "*", Delay: time.Hour}))
	}
	roles := []func(*scenario) string{func(sc *scenario) string { return sc.role }, func(sc *scenario) string { return sc.shared }}
	silent := cl.measureStops(t, others, func() {
		if token != "" {
			_, err := cl.vault().Logical().WriteWithContext(t.Context(), "auth/token/revoke", map[string]any{"token": token})
			require.NoError(t, err)
			token = ""
		}
		cl.revokeAtSilent(t, scenarios, roles[0])
		roles = roles[1:]
	})
	progress("Vault revokes at silent vendors: seal %s, without %s; step-down %s, %s; reads of other mounts %s, %s",
		silent.seal, answering.seal, silent.stepDown, answering.stepDown, silent.otherMounts, answering.otherMounts)
	requireNotDelayed(t, silent, answering)
	for _, sc := range scenarios {
		require.NoError(t, cl.server.Control().ClearFaults(t.Context(), sc.target.Name))
		sc.conclude(t)
	}

	queued := cl.begin(t, "Vault seals and steps down while revocations wait for their turn", "revoke", labeled("trend")[0])
	queued.readMany(t, queuedKeys)
	// Several configs have this root credential, and the smallest of their limits counts on every node.
	queued.setConfig(t, map[string]any{"requests_per_minute": queuedLimit})
	waiting := cl.measureStops(t, others, func() { queued.revokeAll(t, queued.role) })
	progress("%d revocations wait for their turn: seal %s, step-down %s, reads of other mounts %s", queuedKeys, waiting.seal, waiting.stepDown, waiting.otherMounts)
	requireNotDelayed(t, waiting, answering)
	require.NotEmpty(t, queued.remaining(t), "the revocations have ended before")
	queued.setConfig(t, map[string]any{"requests_per_minute": 0})
	queued.conclude(t)
	cl.drain(t)
	require.Zero(t, cl.irrevocable(t), "leases that Vault has given up")
}

// Each call takes ten seconds, longer than Vault's request waits. Every revocation ends all the same, and Vault gives up no
// lease.
func TestRevocation_SlowVendors_AllEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 10*time.Minute)
	tuneMaxLeaseTTL(t, cl, 10*time.Minute)
	var scenarios []*scenario
	for _, v := range labeled("ftd", "trend", "fortianalyzer", "fortisiem+hook") {
		sc := cl.begin(t, "vendors that take ten seconds for each call", "revoke", v)
		sc.setConfig(t, map[string]any{"request_timeout": "30s"})
		sc.mustRead(t, sc.role)
		sc.mustRead(t, sc.role)
		if v.Name == "trend" {
			sc.readMany(t, queuedKeys-2)
		}
		scenarios = append(scenarios, sc)
	}
	begun := time.Now()
	for _, sc := range scenarios {
		require.NoError(t, cl.server.Control().AddFault(t.Context(), devserver.Fault{Vendor: sc.target.Name, Route: "*", Delay: 10 * time.Second}))
		held := sc.held()
		sc.revokeAll(t, sc.role)
		require.Error(t, sc.revoke(t.Context(), sc.vault(), held[0]), "%s: a synchronous revocation does not wait for it", sc)
	}
	for _, sc := range scenarios {
		require.True(t, await(5*time.Minute, func() bool {
			leases, err := sc.leases(t.Context(), sc.role)
			require.NoError(t, err)
			live, err := cl.liveCredentials(t.Context(), sc.target.Name)
			require.NoError(t, err)
			return len(leases) == 0 && len(live) == 0
		}), "%s: revocations have not ended", sc)
		progress("%s: all revocations have ended after %s", sc.target.label, time.Since(begun).Round(time.Second))
	}
	require.Zero(t, cl.irrevocable(t), "leases that Vault has given up")
	for _, sc := range scenarios {
		require.NoError(t, cl.server.Control().ClearFaults(t.Context(), sc.target.Name))
		sc.conclude(t)
	}
	cl.drain(t)
}

// requireNotDelayed requires that Vault stops about as fast as with vendors that answer.
func requireNotDelayed(t *testing.T, taken, answering stops) {
	t.Helper()
	require.Less(t, taken.seal, answering.seal+longestDelay)
	require.Less(t, taken.stepDown, answering.stepDown+longestDelay)
	require.Less(t, taken.otherMounts, answering.otherMounts+longestDelay)
}

// setConfig changes fields of the scenario's config.
func (sc *scenario) setConfig(t *testing.T, fields map[string]any) {
	t.Helper()
	_, err := sc.vault().Logical().WriteWithContext(t.Context(), sc.path("config/%s", sc.config), fields)
	require.NoError(t, err, "%s", sc)
}

// readWithToken reads a credential with a new token, and returns the token. Its end revokes the lease.
func (sc *scenario) readWithToken(t *testing.T) string {
	t.Helper()
	created, err := sc.vault().Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{TTL: "10m"})
	require.NoError(t, err)
	client, err := sc.vault().Clone()
	require.NoError(t, err)
	client.SetToken(created.Auth.ClientToken)
	id, err := sc.read(t.Context(), client, sc.role)
	require.NoError(t, err, "%s", sc)
	sc.abandon(id)
	return created.Auth.ClientToken
}

// revokeAll makes Vault's expiration manager revoke all leases of a role. It does not wait for that.
func (sc *scenario) revokeAll(t *testing.T, role string) {
	t.Helper()
	for _, id := range sc.held() {
		sc.abandon(id)
	}
	require.NoError(t, sc.vault().Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{
		LeaseID: sc.path("creds/%s", role), Prefix: true,
	}), "%s", sc)
}

// revokeAtSilent makes Vault revoke the leases of one role of each scenario, and returns when all vendors that can revoke
// have been asked.
func (cl *cluster) revokeAtSilent(t *testing.T, scenarios []*scenario, role func(*scenario) string) {
	t.Helper()
	calls := map[*scenario]int{}
	for _, sc := range scenarios {
		if sc.target.revocable() {
			calls[sc] = sc.calls(t)
		}
	}
	for _, sc := range scenarios {
		sc.revokeAll(t, role(sc))
	}
	for sc, before := range calls {
		require.True(t, await(recoveryTimeout, func() bool { return sc.calls(t) > before }), "%s: no revocation has begun", sc)
	}
}
