package faults

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
)

// scenario is one fault befalling one vendor, under roles of its own, and under a config of its own where that does
// not take the vendor's sessions from others.
type scenario struct {
	*cluster
	// fault names the line of the report, and step tells more.
	fault, step string
	vendor      vendor
	config      string
	// role gives each reader a credential, shared one to all.
	role, shared string
	begun        time.Time
	// from is how many credentials the vendor had issued before.
	from int

	mu sync.Mutex
	// got are the leases that were read, with the end that was promised; those whose end was asked for are in ending.
	got map[string]time.Time
	// secrets are what was read with them: Vault drops it when a lease is renewed.
	secrets map[string]map[string]any
	ending  map[string]bool
}

func (o *scenario) String() string {
	return fmt.Sprintf("%s, %s, role %s", o.fault, o.vendor.name, o.role)
}

// begin writes config and roles.
func (s *cluster) begin(t *testing.T, fault, step string, v vendor) *scenario {
	t.Helper()
	ctx := t.Context()
	s.mu.Lock()
	name := fmt.Sprintf("c%03d", len(s.trials)/2+1)
	s.mu.Unlock()
	o := &scenario{
		cluster: s, fault: fault, step: step, vendor: v, config: name, role: name, shared: name + "s",
		got: map[string]time.Time{}, secrets: map[string]map[string]any{}, ending: map[string]bool{},
	}
	fields, err := v.configFields(s.server.Emulator())
	require.NoError(t, err)
	if v.oneConfig {
		o.config = v.emulated
		s.awaitRoom(t, o)
		// Another connection: what the one before remembers of its trial is not this one's.
		fields["max_retries"] = 1 + len(s.trials)/2%2
		s.mu.Lock()
		_, written := s.open[o.config]
		s.mu.Unlock()
		if written {
			fields = rotatedFields(fields, s.server.Emulator().Vendors[v.emulated])
		}
	}
	_, err = s.vault().Logical().WriteWithContext(ctx, s.at("config/%s", o.config), fields)
	require.NoError(t, err, "%s", o)
	for role, sharing := range map[string]string{o.role: "exclusive", o.shared: "shared"} {
		fields := map[string]any{"config": o.config, "ttl": s.ttl.String(), "max_ttl": "10m", "sharing": sharing}
		if v.unending {
			fields["max_ttl"] = s.ttl.String()
		}
		for field, value := range v.role {
			fields[field] = value
		}
		_, err = s.vault().Logical().WriteWithContext(ctx, s.at("roles/%s", role), fields)
		require.NoError(t, err, "%s", o)
	}
	all, err := s.server.Control().Credentials(ctx, v.emulated)
	require.NoError(t, err)
	o.from, o.begun = len(all), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trials[o.role], s.trials[o.shared], s.open[o.config] = o, o, v.emulated
	return o
}

// awaitRoom waits until the trials before have left most of a device's sessions.
func (s *cluster) awaitRoom(t *testing.T, o *scenario) {
	t.Helper()
	s.mu.Lock()
	_, open := s.open[o.config]
	s.mu.Unlock()
	if !open {
		return
	}
	var left []string
	require.True(t, await(patience, func() bool { left = s.settle(t, o.config); return len(left) <= 1 }),
		"%s: the trials before have left %q", o, left)
}

// read reads a credential, and keeps and returns its lease if there is one.
func (o *scenario) read(ctx context.Context, client *api.Client, role string) (id string, err error) {
	asked := time.Now()
	secret, err := client.Logical().ReadWithContext(ctx, o.at("creds/%s", role))
	if err == nil && secret == nil {
		err = fmt.Errorf("role %s does not exist", role)
	}
	if err != nil {
		return "", err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.got[secret.LeaseID] = asked.Add(time.Duration(secret.LeaseDuration) * time.Second)
	o.secrets[secret.LeaseID] = secret.Data
	return secret.LeaseID, nil
}

// mustRead reads a credential, which has to succeed.
func (o *scenario) mustRead(t *testing.T, role string) {
	t.Helper()
	_, err := o.read(t.Context(), o.vault(), role)
	require.NoError(t, err, "%s", o)
}

// renew renews a lease.
func (o *scenario) renew(ctx context.Context, client *api.Client, id string) error {
	asked := time.Now()
	renewed, err := client.Sys().RenewWithContext(ctx, id, 0)
	if err == nil && renewed == nil {
		err = errors.New("the answer is empty, as that of a node which is stopped meanwhile can be")
	}
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, there := o.got[id]; there {
		o.got[id] = asked.Add(time.Duration(renewed.LeaseDuration) * time.Second)
	}
	return nil
}

// revoke revokes a lease.
func (o *scenario) revoke(ctx context.Context, client *api.Client, id string) error {
	o.mu.Lock()
	o.ending[id] = true
	delete(o.got, id)
	o.mu.Unlock()
	return client.Sys().RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: id, Sync: true})
}

// held are the ids of the leases that were read and have not ended.
func (o *scenario) held() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ids []string
	for id, until := range o.got {
		if time.Now().Before(until) {
			ids = append(ids, id)
		}
	}
	return ids
}

// holding tells whether a lease that was read has not ended.
func (o *scenario) holding(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	until, there := o.got[id]
	return there && time.Now().Before(until)
}

// conclude compares vendor, ledger and leases, ends the leases, and notes the result.
func (o *scenario) conclude(t *testing.T) {
	t.Helper()
	result := row{runs: 1}
	for _, c := range o.orphans(t, o.vendor) {
		t.Errorf("%s: alive at the vendor and not in the ledger: %+v", o, c)
		result.orphans++
	}
	for _, loss := range o.lost(t) {
		t.Errorf("%s: %s", o, loss)
		result.leases++
	}
	for _, c := range o.issued(t) {
		result.made++
		if c.EndedBy == "evicted" {
			t.Errorf("%s: the vendor has evicted %+v", o, c)
			result.leases++
		}
	}
	for _, role := range []string{o.role, o.shared} {
		// What cannot be ended now is ended by drain.
		_ = o.endLeases(t.Context(), role)
	}
	note(o.fault, o.vendor.name, result)
}

// lost lists the leases that a client was given, whose end nobody asked for, and whose credential the vendor
// refuses, or that have no account or are not there.
func (o *scenario) lost(t *testing.T) []string {
	t.Helper()
	given := o.held()
	stored := map[string]bool{}
	var lost []string
	for _, role := range []string{o.role, o.shared} {
		leases, err := o.leases(t.Context(), role)
		require.NoError(t, err, "%s", o)
		for _, l := range leases {
			stored[l.ID] = true
			loss := o.worthless(t, l)
			switch {
			case loss == "":
			case o.secrets[l.ID] == nil:
				// Its client got an error: a leader that loses its office while it writes down a lease has the
				// credential revoked, and the others may have written the lease down all the same.
				t.Logf("%s: nobody was given %s", o, loss)
			default:
				lost = append(lost, loss)
			}
		}
	}
	for _, id := range given {
		if !stored[id] && o.holding(id) {
			lost = append(lost, "Vault does not know lease "+id)
		}
	}
	return lost
}

// worthless tells what is wrong with a lease, if anything is.
func (o *scenario) worthless(t *testing.T, l lease) string {
	t.Helper()
	// A lease that is about to expire may be in the middle of its revocation.
	if o.ending[l.ID] || !time.Now().Add(time.Second).Before(l.Expires) {
		return ""
	}
	data, read := o.secrets[l.ID]
	if !read {
		data = l.Data
	}
	works, err := o.vendor.works(o.web, data)
	require.NoError(t, err, "%s", o)
	accounts, err := o.accounts(t.Context(), o.config)
	require.NoError(t, err, "%s", o)
	a, known := accounts[l.account()]
	if works && known || !time.Now().Before(l.Expires) {
		return ""
	}
	return fmt.Sprintf("lease %s runs until %s; its credential works: %t; its account: %+v", l.ID, l.Expires, works, a)
}
