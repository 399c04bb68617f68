package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
)

// agent behaves as Vault Agent does with a template: it renews a new lease at once and then after two thirds of its
// time, it reads again as soon as a renewal fails, it pauses after a read that failed, and it drops what it reads in
// the same second as before.
type agent struct {
	*mount
	role string
	// file is the token that the agent rendered last.
	file any
	// lease is the lease that it renews; nil after a read that failed.
	lease *vaultLease
	// leases counts the leases that it was given.
	leases int
	// next is when it acts again, and pause how long it waits after another failed read.
	next  time.Time
	pause time.Duration
	// readSecond is the second in which it last read something.
	readSecond int64
}

// act renews or reads if it is time.
func (a *agent) act() {
	a.t.Helper()
	now := a.clock.Now()
	for range 5 { // a client that loops without a pause goes on at the next call
		if now.Before(a.next) {
			return
		}
		if a.lease != nil {
			response, err := a.renew(a.lease, 0)
			if err == nil {
				a.next = now.Add(response.Secret.TTL * 2 / 3)
				return
			}
			a.lease = nil
		}
		response, _, err := a.request(logical.ReadOperation, "creds/"+a.role, nil)
		if err != nil {
			a.pause = min(max(2*a.pause, 250*time.Millisecond), time.Minute)
			a.next = now.Add(a.pause)
			return
		}
		a.pause = 0
		a.lease = a.leaseOf(response)
		a.leases++
		if second := now.Unix(); second != a.readSecond {
			a.readSecond, a.file = second, a.lease.data["token"]
		}
	}
}

// agents are five agents on a shared role of FTD, all with a rendered file.
func (m *mount) agents(ttl string) []*agent {
	m.t.Helper()
	m.writeConfig("ftd", map[string]any{"max_retries": 0})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": ttl, "max_ttl": "8h", "sharing": "shared"})
	agents := make([]*agent, 5)
	for i := range agents {
		agents[i] = &agent{mount: m, role: "ftd"}
	}
	m.pass(agents, 5*time.Second)
	return agents
}

// pass lets the agents work for some time, in steps of half a second.
func (m *mount) pass(agents []*agent, d time.Duration) {
	m.t.Helper()
	for end := m.clock.Now().Add(d); m.clock.Now().Before(end); m.clock.Advance(500 * time.Millisecond) {
		for _, a := range agents {
			a.act()
		}
	}
}

// requireGoodFiles requires that each agent's file holds the token that is alive at the vendor.
func (m *mount) requireGoodFiles(agents []*agent) {
	m.t.Helper()
	require.Len(m.t, m.leased("ftd"), 1)
	live := m.leased("ftd")[0].Marker
	for i, a := range agents {
		require.Equal(m.t, live, a.lease.data["subject"], "agent %d", i)
		require.Equal(m.t, a.lease.data["token"], a.file, "agent %d renews one credential and its file holds another", i)
	}
}

func leasesOf(agents []*agent) int {
	leases := 0
	for _, a := range agents {
		leases += a.leases
	}
	return leases
}

func TestShared_AgentsInAnOutage_TakeNoMoreLeases(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"connection refused": {Vendor: "ftd", Route: "*", DropBefore: true},
		"503":                {Vendor: "ftd", Route: "*", Status: http.StatusServiceUnavailable},
		"429":                {Vendor: "ftd", Route: "*", Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "120"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			agents := m.agents("1m")
			m.fault(fault)
			m.pass(agents, 20*time.Minute)
			require.LessOrEqual(t, leasesOf(agents), 2*len(agents))
			m.vendors.ClearFaults("ftd")
			m.pass(agents, time.Minute)
			m.requireGoodFiles(agents)
			require.LessOrEqual(t, leasesOf(agents), 2*len(agents))
		})
	}
}

func TestShared_AgentsOnADeadToken_ReadOnceEach(t *testing.T) {
	m := newMount(t)
	agents := m.agents("1m")
	_, err := m.vendors.Do("ftd", "end_sessions", nil)
	require.NoError(t, err)
	m.pass(agents, time.Minute)
	m.requireGoodFiles(agents)
	require.Equal(t, 2*len(agents), leasesOf(agents))
}

func TestShared_DeadTokenAndVendorAway_GoodWithinOneTTLOfTheCure(t *testing.T) {
	m := newMount(t)
	agents := m.agents("1m")
	_, err := m.vendors.Do("ftd", "end_sessions", nil)
	require.NoError(t, err)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	m.pass(agents, 3*time.Minute)
	require.Equal(t, len(agents), leasesOf(agents))
	m.vendors.ClearFaults("ftd")
	m.pass(agents, time.Minute)
	m.requireGoodFiles(agents)
	require.Equal(t, 2*len(agents), leasesOf(agents))
}

// The administrator changes the password, which ends the token too, and the config is written with the new one later.
func TestShared_RootBrokenAndCured_GoodWithinOneTTLOfTheCure(t *testing.T) {
	m := newMount(t)
	m.setSwitch("ftd", "password_change_ends", "everything")
	agents := m.agents("1m")
	changed, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	m.pass(agents, 3*time.Minute)
	require.LessOrEqual(t, leasesOf(agents), 2*len(agents))
	newcomer := &agent{mount: m, role: "ftd"}
	newcomer.act()
	require.Zero(t, newcomer.leases, "a dead token is given to no new reader")

	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": changed["password"]})
	agents = append(agents, newcomer)
	m.pass(agents, time.Minute)
	m.requireGoodFiles(agents)
	require.LessOrEqual(t, leasesOf(agents), 2*len(agents))
	m.rememberRotatedSecrets("ftd")
	m.resetRotatedSecrets()
}

func TestShared_CheckFails_ReadAsksTheVendor(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.setSwitch("ftd", "password_change_ends", "everything")
	m.read("ftd")
	changed, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	_, _, err = m.request(logical.UpdateOperation, "config/ftd/check", nil)
	require.Error(t, err)
	_, err = m.tryRead("ftd")
	require.Error(t, err)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"password": changed["password"]})
	fresh := m.read("ftd")
	require.Equal(t, m.leased("ftd")[0].Marker, fresh.data["subject"])
}

func TestShared_DeadToken_IsGivenToNoReader(t *testing.T) {
	for vendor, test := range map[string]struct {
		role map[string]any
		end  func(t *testing.T, m *mount, l *vaultLease)
	}{
		"ftd":           {nil, func(t *testing.T, m *mount, _ *vaultLease) { m.act(t, "ftd", "end_sessions", nil) }},
		"fortianalyzer": {nil, func(t *testing.T, m *mount, _ *vaultLease) { m.act(t, "fortianalyzer", "end_sessions", nil) }},
		"trend": {map[string]any{"role_name": "Auditor"}, func(t *testing.T, m *mount, l *vaultLease) {
			id, _, _ := cutToken(l)
			m.act(t, "trend", "delete_key", map[string]string{"id": id})
		}},
	} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"sharing": "shared", "ttl": "10m"}
			for field, value := range test.role {
				role[field] = value
			}
			m.configure(vendor, role)
			dead := m.read(vendor)
			test.end(t, m, dead)
			m.clock.Advance(time.Minute)
			fresh := m.read(vendor)
			require.NotEqual(t, dead.data["token"], fresh.data["token"])
			_, err := m.renew(dead, 0)
			require.ErrorContains(t, err, "read a new one")
			require.NoError(t, m.revoke(dead))
			m.runPeriodic()
			require.Len(t, m.leased(vendor), 1)
			require.Len(t, m.ledgerOf(vendor), 1, "the dead one is not kept")
			_, err = m.renew(fresh, 0)
			require.NoError(t, err)
		})
	}
}

// A credential that the vendor confirmed a moment ago is given to readers while the vendor is away for a moment, and
// a renewal promises no more than is recorded.
func TestShared_VendorAway_ServesWithinWhatIsRecorded(t *testing.T) {
	for vendor, fields := range renewableVendors {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			role := map[string]any{"sharing": "shared", "ttl": "10m", "max_ttl": "1h"}
			for field, value := range fields {
				role[field] = value
			}
			m.writeConfig(vendor, map[string]any{"max_retries": 0})
			role["config"] = vendor
			m.must(logical.UpdateOperation, "roles/"+vendor, role)
			held := m.read(vendor)
			m.fault(emulator.Fault{Vendor: vendor, Route: "*", DropBefore: true})
			m.clock.Advance(time.Minute)
			other := m.read(vendor)
			require.Equal(t, held.data["token"], other.data["token"])
			end := *m.leased(vendor)[0].ExpiresAt
			for m.clock.Now().Before(end.Add(-2 * time.Minute)) {
				m.clock.Advance(time.Minute)
				response, err := m.renew(held, 0)
				require.NoError(t, err)
				require.False(t, m.clock.Now().Add(response.Secret.TTL).After(end))
			}
			_, err := m.tryRead(vendor)
			require.Error(t, err)
			m.clock.Advance(3 * time.Minute)
			_, err = m.renew(held, 0)
			require.Error(t, err, "past the recorded end")
		})
	}
}

// A client counts a renewal that takes a minute as failed, and reads.
func TestShared_VendorSilent_RenewalDoesNotWaitForIt(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	held := m.read("ftd")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", Delay: time.Hour})
	m.clock.Advance(time.Minute)
	m.clock.endWaits()
	for range 3 {
		response, err := m.renew(held, 0)
		require.NoError(t, err)
		require.Equal(t, 15*time.Minute, response.Secret.TTL)
	}
	require.Equal(t, held.data["token"], m.read("ftd").data["token"])
}

func TestShared_TTLNearMaxTTL_ReadersShareTwoAtMost(t *testing.T) {
	for name, test := range map[string]struct {
		vendor string
		role   map[string]any
	}{
		"ftd, ttl equals max_ttl":           {"ftd", map[string]any{"ttl": "30m", "max_ttl": "30m"}},
		"ftd, max_ttl only":                 {"ftd", map[string]any{"ttl": nil, "max_ttl": "30m"}},
		"ftd, ttl below max_ttl":            {"ftd", map[string]any{"ttl": "25m", "max_ttl": "30m"}},
		"ftd, ttl far below max_ttl":        {"ftd", map[string]any{"ttl": "3m", "max_ttl": "30m"}},
		"trend, ttl equals max_ttl":         {"trend", map[string]any{"ttl": "30m", "max_ttl": "30m", "role_name": "Auditor"}},
		"fortianalyzer, ttl equals max_ttl": {"fortianalyzer", map[string]any{"ttl": "12m", "max_ttl": "12m"}},
		"fortianalyzer, vendor's maximum":   {"fortianalyzer", map[string]any{"ttl": "15m", "max_ttl": "30m"}},
		"lacework, vendor's maximum":        {"lacework", map[string]any{"ttl": "24h", "max_ttl": "24h"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			test.role["sharing"] = "shared"
			m.configure(test.vendor, test.role)
			tokens, step := map[any]bool{}, time.Duration(0)
			var leases []*modelLease
			for range 120 { // four times the ttl of the first
				leased := m.read(test.vendor)
				tokens[leased.data["token"]] = true
				leases = append(leases, &modelLease{vaultLease: leased, endsAt: m.clock.Now().Add(leased.secret.TTL)})
				if step == 0 {
					step = leased.secret.TTL / 30
				}
				m.clock.Advance(step)
				for len(leases) > 0 && leases[0].endsAt.Before(m.clock.Now()) {
					require.NoError(t, m.revoke(leases[0].vaultLease))
					leases = leases[1:]
				}
				require.LessOrEqual(t, len(m.leased(test.vendor)), 2)
			}
			require.LessOrEqual(t, len(tokens), 9)
		})
	}
}

func TestRoleWrite_VendorEndsCredentialsTooSoonToShare_IsRefused(t *testing.T) {
	m := newMount(t)
	m.setSwitch("fortianalyzer", "idle_timeout", "1m")
	m.writeConfig("fortianalyzer", map[string]any{"idle_timeout": "1m"})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "roles/app",
		map[string]any{"config": "fortianalyzer", "sharing": "shared"}, `"sharing"`, "1m30s")
	m.must(logical.UpdateOperation, "roles/app", map[string]any{"config": "fortianalyzer", "sharing": "exclusive"})
}

func TestShared_SweepDuringAnOutage_LeavesTheHolders(t *testing.T) {
	m := newMount(t)
	agents := m.agents("1m")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	m.pass(agents, time.Minute+lease.LostLeaseGrace)
	m.runPeriodic()
	m.vendors.ClearFaults("ftd")
	m.pass(agents, time.Minute)
	m.requireGoodFiles(agents)
	require.Equal(t, len(agents), leasesOf(agents))
}
