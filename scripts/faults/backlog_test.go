package faults

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// massKeys is the number of leases that are revoked at once.
	massKeys = 2500
	// massLimit is the vendor's limit of calls a minute in that test, eight times the documented one: with that one, the
	// test would take twelve minutes.
	massLimit = 4000
	// massPaced is the engine's own limit: as far below the vendor's as the default, 450, is below the documented 500.
	massPaced = 3600
	// callsPerRevocation is what a revocation costs at Trend in the normal case.
	callsPerRevocation = 2
)

// An operator revokes 2,500 leases of Trend at once, whose vendor limits the calls of a minute. The engine must pace its
// calls so that Vault gives up none of these leases, and waste none of the vendor's limit.
func TestRevocation_ManyUnderRateLimit_AllEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	cl := newCluster(t, 1, 10*time.Minute)
	v := labeled("trend")[0]
	sc := cl.begin(t, "2,500 revocations at once under a rate limit", "revoke", v)
	_, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s", sc.config), map[string]any{"request_timeout": "30s"})
	require.NoError(t, err)
	sc.readMany(t, massKeys)
	progress("%d credentials issued", massKeys)

	control := cl.server.Control()
	require.NoError(t, control.Advance(t.Context(), time.Minute)) // the vendor has counted the creates in the last minute
	require.NoError(t, control.SetSwitch(t.Context(), v.Name, "rate_limit", strconv.Itoa(massLimit)))
	_, err = cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s", sc.config), map[string]any{"requests_per_minute": massPaced})
	require.NoError(t, err)
	for _, id := range sc.held() {
		sc.abandon(id)
	}
	calls, begun := sc.calls(t), time.Now()
	require.NoError(t, cl.vault().Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{
		LeaseID: cl.path("creds/%s", sc.role), Prefix: true,
	}))
	// The vendor's limit allows the calls in this time.
	allowed := massKeys * callsPerRevocation * time.Minute / massLimit
	var live []devserver.Credential
	ended := await(2*allowed, func() bool {
		live, err = cl.liveCredentials(t.Context(), v.Name)
		require.NoError(t, err)
		return len(live) == 0
	})
	took := time.Since(begun)
	refused := sc.refused(t, calls)
	progress("%d revocations under a limit of %d calls a minute: %s, allowed %s; %d calls, %d of them refused with 429",
		massKeys, massLimit, took.Round(time.Second), allowed.Round(time.Second), sc.calls(t)-calls, refused)
	require.True(t, ended, "%d keys are live after %s", len(live), took)
	require.LessOrEqual(t, took, allowed*3/2)
	require.Zero(t, cl.irrevocable(t), "leases that Vault has given up")
	sc.conclude(t)
	require.NoError(t, control.SetSwitch(t.Context(), v.Name, "rate_limit", "0"))
	cl.drain(t)
}

// readMany reads that many exclusive credentials, several at a time.
func (sc *scenario) readMany(t *testing.T, count int) {
	t.Helper()
	const clients = 8
	next := make(chan struct{}, count)
	for range count {
		next <- struct{}{}
	}
	close(next)
	failures := make(chan error, count)
	var readers sync.WaitGroup
	for range clients {
		readers.Go(func() {
			for range next {
				if _, err := sc.read(t.Context(), sc.vault(), sc.role); err != nil {
					failures <- err
				}
			}
		})
	}
	readers.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err, "%s", sc)
	}
}

// calls returns the number of requests that the scenario's vendor has received.
func (sc *scenario) calls(t *testing.T) int {
	t.Helper()
	requests, err := sc.server.Control().Requests(t.Context(), sc.target.Name)
	require.NoError(t, err)
	return len(requests)
}

// refused returns the number of requests that the vendor has refused with 429, without the first ones.
func (sc *scenario) refused(t *testing.T, first int) int {
	t.Helper()
	requests, err := sc.server.Control().Requests(t.Context(), sc.target.Name)
	require.NoError(t, err)
	refused := 0
	for _, request := range requests[first:] {
		if request.Status == http.StatusTooManyRequests {
			refused++
		}
	}
	return refused
}

// irrevocable returns the number of leases that Vault has given up.
func (cl *cluster) irrevocable(t *testing.T) int {
	t.Helper()
	counted, err := cl.vault().Logical().ReadWithDataWithContext(t.Context(), "sys/leases/count", map[string][]string{"type": {"irrevocable"}})
	require.NoError(t, err)
	count, err := counted.Data["lease_count"].(interface{ Int64() (int64, error) }).Int64()
	require.NoError(t, err)
	return int(count)
}

// Configs have backlogs of revocations at a vendor that is slow, or silent. Another config's only revocation must not
// wait for them.
func TestRevocation_NextToBacklog_IsNotDelayed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Parallel()
	for _, neighbours := range []struct {
		name            string
		configs, leases int
		fault           devserver.Fault
	}{
		{"a slow vendor", 1, 150, devserver.Fault{Delay: time.Second}},
		{"a silent vendor", 6, 25, devserver.Fault{Delay: time.Hour}},
	} {
		t.Run(neighbours.name, func(t *testing.T) {
			t.Parallel()
			cl := newCluster(t, 1, 10*time.Minute)
			var backlogs []*scenario
			for range neighbours.configs {
				backlog := cl.begin(t, fmt.Sprintf("backlog at %s (configs: %d), next to one revocation", neighbours.name, neighbours.configs),
					"backlog", labeled("trend")[0])
				_, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s", backlog.config), map[string]any{"request_timeout": "30s"})
				require.NoError(t, err)
				backlog.readMany(t, neighbours.leases)
				cl.leaveUnrevoked(t, backlog)
				backlogs = append(backlogs, backlog)
			}
			single := cl.begin(t, "one revocation, next to the backlog at "+neighbours.name, "revoke", labeled("ftd")[0])
			single.mustRead(t, single.role)
			cl.leaveUnrevoked(t, single)
			fault := neighbours.fault
			fault.Vendor, fault.Route = backlogs[0].target.Name, "*"
			require.NoError(t, cl.server.Control().AddFault(t.Context(), fault))
			begun := time.Now()
			single.awaitSwept(t)
			left := 0
			for _, backlog := range backlogs {
				left += len(backlog.remaining(t))
			}
			progress("one revocation next to a backlog at %s: after %s, %d of the backlog are left",
				neighbours.name, time.Since(begun).Round(time.Second), left)
			require.Greater(t, left, neighbours.configs*neighbours.leases/2, "the backlog has ended before")
			single.conclude(t)
			require.NoError(t, cl.server.Control().ClearFaults(t.Context(), fault.Vendor))
			for _, backlog := range backlogs {
				backlog.conclude(t)
			}
			cl.drain(t)
		})
	}
}
