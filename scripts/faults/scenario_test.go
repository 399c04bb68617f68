package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// scenario is one fault at one vendor, with its own roles, and with its own config unless the vendor grants only a few
// sessions.
type scenario struct {
	*cluster
	// fault is the line of the report, and step adds detail to it.
	fault, step string
	target      target
	config      string
	// role is the exclusive role, and shared the shared one.
	role, shared string
	begun        time.Time
	// from is the number of credentials that the vendor had issued before.
	from int

	mu sync.Mutex
	// expiries holds the leases that clients have, with their promised ends. revoked holds those that a client revoked.
	expiries map[string]time.Time
	revoked  map[string]bool
	// data holds the data of each read: Vault drops it from the stored lease at a renewal.
	data map[string]map[string]any
}

func (sc *scenario) String() string {
	return fmt.Sprintf("%s, %s, role %s", sc.fault, sc.target.label, sc.role)
}

// begin writes the config and the roles of a new scenario.
func (cl *cluster) begin(t *testing.T, fault, step string, v target) *scenario {
	t.Helper()
	ctx := t.Context()
	cl.mu.Lock()
	name := fmt.Sprintf("c%03d", len(cl.scenarios)/2+1)
	cl.mu.Unlock()
	sc := &scenario{
		cluster: cl, fault: fault, step: step, target: v, config: name, role: name, shared: name + "s",
		expiries: map[string]time.Time{}, revoked: map[string]bool{}, data: map[string]map[string]any{},
	}
	cl.writeConfig(t, sc)
	for role, sharing := range map[string]string{sc.role: "exclusive", sc.shared: "shared"} {
		fields := map[string]any{"config": sc.config, "ttl": cl.ttl.String(), "max_ttl": "10m", "sharing": sharing}
		if !v.Revokes {
			// Without an API to revoke it, a credential must not live longer than a lease.
			fields["max_ttl"] = cl.ttl.String()
		}
		maps.Copy(fields, v.Role)
		_, err := cl.vault().Logical().WriteWithContext(ctx, cl.path("roles/%s", role), fields)
		require.NoError(t, err, "%s", sc)
	}
	all, err := cl.server.Control().Credentials(ctx, v.Name)
	require.NoError(t, err)
	sc.from, sc.begun = len(all), time.Now()
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.scenarios[sc.role], cl.scenarios[sc.shared], cl.open[sc.config] = sc, sc, v
	return sc
}

// writeConfig writes the config of a scenario. All scenarios at a vendor with few sessions share one config.
func (cl *cluster) writeConfig(t *testing.T, sc *scenario) {
	t.Helper()
	fields, err := sc.target.configFields(cl.server.Emulator())
	require.NoError(t, err)
	fields["requests_per_minute"] = 0 // all scenarios share one root credential, and its rate limit is not the subject
	if sc.target.Sessions > 0 {
		sc.config = sc.target.Name
		cl.awaitSlots(t, sc)
		// A changed field makes the engine open another connection: this scenario does not start with what the last one
		// has left in the connection's memory.
		fields["max_retries"] = 1 + len(cl.scenarios)/2%2
		cl.mu.Lock()
		_, written := cl.open[sc.config]
		cl.mu.Unlock()
		if written {
			fields = withoutRoot(fields, cl.server.Emulator().Vendors[sc.target.Name])
		}
	}
	err = awaitSent(func() error {
		_, err := cl.vault().Logical().WriteWithContext(t.Context(), cl.path("config/%s", sc.config), fields)
		return err
	})
	require.NoError(t, err, "%s", sc)
}

// awaitSent repeats a request while the engine backs off because of an earlier scenario, whose vendor has rejected
// the root credential that all scenarios share: it sends nothing to the vendor for a moment then.
func awaitSent(send func() error) error {
	var err error
	await(recoveryTimeout, func() bool {
		err = send()
		return err == nil || !strings.Contains(err.Error(), "nothing was sent")
	})
	return err
}

// awaitSlots waits until earlier scenarios have freed most of the vendor's sessions.
func (cl *cluster) awaitSlots(t *testing.T, sc *scenario) {
	t.Helper()
	cl.mu.Lock()
	_, open := cl.open[sc.config]
	cl.mu.Unlock()
	if !open {
		return
	}
	var remaining []string
	require.True(t, await(recoveryTimeout, func() bool { remaining = cl.tidy(t, sc.config); return len(remaining) <= 1 }),
		"%s: earlier scenarios have left %q", sc, remaining)
}

// read reads a credential, keeps its lease, and returns the lease's id.
func (sc *scenario) read(ctx context.Context, client *api.Client, role string) (id string, err error) {
	asked := time.Now()
	secret, err := client.Logical().ReadWithContext(ctx, sc.path("creds/%s", role))
	if err == nil && secret == nil {
		err = fmt.Errorf("role %s does not exist", role)
	}
	if err != nil {
		return "", err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.expiries[secret.LeaseID] = asked.Add(time.Duration(secret.LeaseDuration) * time.Second)
	sc.data[secret.LeaseID] = secret.Data
	return secret.LeaseID, nil
}

// mustRead reads a credential, which must succeed.
func (sc *scenario) mustRead(t *testing.T, role string) {
	t.Helper()
	err := awaitSent(func() error {
		_, err := sc.read(t.Context(), sc.vault(), role)
		return err
	})
	require.NoError(t, err, "%s", sc)
}

// renew renews a lease for the role's ttl.
func (sc *scenario) renew(ctx context.Context, client *api.Client, id string) error {
	return sc.renewFor(ctx, client, id, 0)
}

// renewFor renews a lease for that long; zero is the role's ttl.
func (sc *scenario) renewFor(ctx context.Context, client *api.Client, id string, increment time.Duration) error {
	asked := time.Now()
	renewed, err := client.Sys().RenewWithContext(ctx, id, int(increment.Seconds()))
	if err == nil && renewed == nil {
		err = errors.New("the answer is empty: the node may be stopping")
	}
	if err != nil {
		return err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if _, held := sc.expiries[id]; held {
		sc.expiries[id] = asked.Add(time.Duration(renewed.LeaseDuration) * time.Second)
	}
	return nil
}

// abandon records that the client does not need a lease any more.
func (sc *scenario) abandon(id string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.revoked[id] = true
	delete(sc.expiries, id)
}

// revoke revokes a lease.
func (sc *scenario) revoke(ctx context.Context, client *api.Client, id string) error {
	sc.abandon(id)
	return client.Sys().RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: id, Sync: true})
}

// held returns the ids of the leases that clients hold and that have not expired.
func (sc *scenario) held() []string {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	var ids []string
	for id, expiry := range sc.expiries {
		if time.Now().Before(expiry) {
			ids = append(ids, id)
		}
	}
	return ids
}

// holds reports whether a client holds a lease that has not expired.
func (sc *scenario) holds(id string) bool {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	expiry, held := sc.expiries[id]
	return held && time.Now().Before(expiry)
}

// conclude compares vendor, ledger and leases, records the result, and revokes the leases.
func (sc *scenario) conclude(t *testing.T) {
	t.Helper()
	result := row{runs: 1}
	for _, c := range sc.orphans(t, sc.target) {
		t.Errorf("%s: live at the vendor and not in the ledger: %+v", sc, c)
		result.orphans++
	}
	for _, loss := range sc.lostLeases(t) {
		t.Errorf("%s: %s", sc, loss)
		result.lostLeases++
	}
	for _, c := range sc.issued(t) {
		result.issued++
		if c.EndedBy == "evicted" {
			t.Errorf("%s: the vendor has evicted %+v", sc, c)
			result.lostLeases++
		}
	}
	for _, role := range []string{sc.role, sc.shared} {
		// drain revokes the leases that cannot be revoked now.
		_ = sc.revokeLeases(t.Context(), role)
	}
	record(sc.fault, sc.target.label, result)
}

// lostLeases describes the leases that a client holds and that Vault does not have, or whose credential the vendor
// refuses, or that have no ledger entry.
func (sc *scenario) lostLeases(t *testing.T) []string {
	t.Helper()
	held := sc.held()
	stored := map[string]bool{}
	var lost []string
	for _, role := range []string{sc.role, sc.shared} {
		leases, err := sc.leases(t.Context(), role)
		require.NoError(t, err, "%s", sc)
		for _, l := range leases {
			stored[l.ID] = true
			defect := sc.defect(t, l)
			switch {
			case defect == "":
			case sc.data[l.ID] == nil:
				// The client got an error. A leader that loses its leadership while it stores a lease revokes the
				// credential, but the other nodes may have stored the lease.
				t.Logf("%s: no client received %s", sc, defect)
			default:
				lost = append(lost, defect)
			}
		}
	}
	for _, id := range held {
		if !stored[id] && sc.holds(id) {
			lost = append(lost, "Vault does not have lease "+id)
		}
	}
	return lost
}

// defect describes why a stored lease is of no use, or returns "".
func (sc *scenario) defect(t *testing.T, l lease) string {
	t.Helper()
	// Vault may be revoking a lease that is about to expire.
	if sc.revoked[l.ID] || !time.Now().Add(time.Second).Before(l.Expires) {
		return ""
	}
	data, read := sc.data[l.ID]
	if !read {
		data = l.Data
	}
	works, err := sc.target.works(t.Context(), sc.httpClient, data)
	require.NoError(t, err, "%s", sc)
	entries, err := sc.entries(t.Context(), sc.config)
	require.NoError(t, err, "%s", sc)
	e, known := entries[l.entryID()]
	if works && known || !time.Now().Before(l.Expires) {
		return ""
	}
	return fmt.Sprintf("lease %s runs until %s; its credential works: %t; its ledger entry: %+v", l.ID, l.Expires, works, e)
}
