package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// account is what the engine's ledger says of one credential.
type account struct {
	id, role, marker, state, lastError string
	issued                             time.Time
}

// lease is a lease as Vault has stored it.
type lease struct {
	ID      string         `json:"lease_id"`
	Expires time.Time      `json:"expire_time"`
	Data    map[string]any `json:"data"`
	Secret  struct {
		InternalData map[string]any `json:"internal_data"`
	} `json:"secret"`
}

// account is the id of the lease's account.
func (l lease) account() string { return text(l.Secret.InternalData, "id") }

// living are a vendor's leased credentials that live.
func (s *cluster) living(ctx context.Context, emulated string) ([]devserver.Credential, error) {
	all, err := s.server.Control().Credentials(ctx, emulated)
	return slices.DeleteFunc(all, func(c devserver.Credential) bool { return !c.Live || c.Kind != "leased" }), err
}

// accounts are the ledger's entries of a config, by id.
func (s *cluster) accounts(ctx context.Context, config string) (map[string]account, error) {
	listed, err := s.vault().Logical().ListWithContext(ctx, s.at("config/%s/credentials", config))
	if err != nil || listed == nil {
		return nil, err
	}
	accounts := map[string]account{}
	info, _ := listed.Data["key_info"].(map[string]any)
	for id, details := range info {
		fields, _ := details.(map[string]any)
		issued, err := time.Parse(time.RFC3339, text(fields, "issued_at"))
		if err != nil {
			return nil, err
		}
		accounts[id] = account{
			id: id, role: text(fields, "role"), marker: text(fields, "marker"), state: text(fields, "state"),
			lastError: text(fields, "last_error"), issued: issued,
		}
	}
	return accounts, nil
}

// leases are the leases that Vault has stored for a role.
func (s *cluster) leases(ctx context.Context, role string) ([]lease, error) {
	path := "sys/raw/sys/expire/id/" + s.at("creds/%s/", role)
	listed, err := s.vault().Logical().ListWithContext(ctx, path)
	if err != nil || listed == nil {
		return nil, err
	}
	keys, _ := listed.Data["keys"].([]any)
	var leases []lease
	for _, key := range keys {
		raw, err := s.vault().Logical().ReadWithContext(ctx, fmt.Sprintf("%s%v", path, key))
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue // it has just ended
		}
		var stored lease
		if err := json.Unmarshal([]byte(text(raw.Data, "value")), &stored); err != nil {
			return nil, fmt.Errorf("read a stored lease: %w", err)
		}
		leases = append(leases, stored)
	}
	return leases, nil
}

// unknown are the living credentials of a vendor that no account knows. An account is written before its
// credential exists and goes after it: so the living are listed first, and asked for again at the end.
func (s *cluster) unknown(t *testing.T, v vendor) []devserver.Credential {
	t.Helper()
	living, err := s.living(t.Context(), v.emulated)
	require.NoError(t, err)
	known := map[string]account{}
	for _, config := range s.openConfigs(v.emulated) {
		accounts, err := s.accounts(t.Context(), config)
		require.NoError(t, err)
		maps.Copy(known, accounts)
	}
	suspects := unmatched(living, slices.Collect(maps.Values(known)), v.marked)
	if len(suspects) == 0 {
		return nil
	}
	again, err := s.living(t.Context(), v.emulated)
	require.NoError(t, err)
	return slices.DeleteFunc(suspects, func(c devserver.Credential) bool {
		return !slices.ContainsFunc(again, func(still devserver.Credential) bool { return still.ID == c.ID })
	})
}

// issueSpan is how long after its intent a credential may appear: the longest that a driver waits for its turn.
const issueSpan = 40 * time.Second

// unmatched are the credentials without an account: by marker, or, where there is none, by time, each account
// answering for one credential.
func unmatched(living []devserver.Credential, accounts []account, marked bool) []devserver.Credential {
	slices.SortFunc(accounts, func(a, b account) int { return a.issued.Compare(b.issued) })
	var left []devserver.Credential
	for _, credential := range living {
		i := slices.IndexFunc(accounts, func(a account) bool {
			if marked {
				return a.marker == credential.Marker
			}
			// The ledger shows whole seconds.
			return !a.issued.After(credential.IssuedAt) && credential.IssuedAt.Before(a.issued.Add(issueSpan))
		})
		if i < 0 {
			left = append(left, credential)
			continue
		}
		accounts = slices.Delete(accounts, i, i+1)
	}
	return left
}

// orphans are unknown credentials that stay so and were not counted before.
func (s *cluster) orphans(t *testing.T, v vendor) []devserver.Credential {
	t.Helper()
	var found []devserver.Credential
	// Where no marker tells which account is whose, one that ends meanwhile can make another look unknown.
	await(time.Second, func() bool { found = s.unknown(t, v); return len(found) == 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	found = slices.DeleteFunc(found, func(c devserver.Credential) bool { return s.reported[c.ID] })
	for _, c := range found {
		s.reported[c.ID] = true
	}
	return found
}

// issued are the leased credentials that the vendor has made since a trial began, without those of trials that
// went on at the same time and are concluded.
func (o *scenario) issued(t *testing.T) []devserver.Credential {
	t.Helper()
	all, err := o.server.Control().Credentials(t.Context(), o.vendor.emulated)
	require.NoError(t, err)
	o.cluster.mu.Lock()
	defer o.cluster.mu.Unlock()
	return slices.DeleteFunc(all[o.from:], func(c devserver.Credential) bool {
		counted := o.counted[c.ID]
		o.counted[c.ID] = true
		return counted || c.Kind != "leased"
	})
}

// drain ends all leases, has the engine work off what is outstanding until nothing is left anywhere, and puts
// what does not go to the account of its trial.
func (s *cluster) drain(t *testing.T) {
	t.Helper()
	begun := time.Now()
	s.mu.Lock()
	trials := maps.Clone(s.trials)
	s.mu.Unlock()
	var left []string
	empty := await(drainTimeout, func() bool {
		left = left[:0]
		for role, of := range trials {
			if !s.endLeases(t.Context(), role) {
				left = append(left, "lease of "+role+" ("+of.fault+", "+of.vendor.name+")")
				continue
			}
			delete(trials, role)
		}
		for _, config := range s.openConfigs("") {
			left = append(left, s.settle(t, config)...)
		}
		s.blameUnknown(t)
		return len(left) == 0
	})
	for _, what := range left {
		t.Errorf("not ended after %s: %s", drainTimeout, what)
	}
	for _, v := range emulated() {
		living, err := s.living(t.Context(), v.emulated)
		require.NoError(t, err)
		for _, c := range living {
			if s.reported[c.ID] {
				continue
			}
			of := s.trialOf(c, v)
			t.Errorf("%s: still alive after all leases have ended: %+v", of, c)
			note(of.fault, of.vendor.name, row{orphans: 1})
		}
	}
	progress("%s: everything ended: %t, after %s", t.Name(), empty, time.Since(begun).Round(100*time.Millisecond))
}

// settle has the engine work off what is due in a config, and returns what is left. A config with nothing left is
// closed.
func (s *cluster) settle(t *testing.T, config string) []string {
	t.Helper()
	answer, err := s.vault().Logical().WriteWithContext(t.Context(), s.at("config/%s/tidy", config), nil)
	if err != nil {
		return []string{config + ": " + err.Error()}
	}
	if markers, _ := answer.Data["orphans"].([]any); len(markers) > 0 {
		s.blame(t, config, markers)
	}
	accounts, err := s.accounts(t.Context(), config)
	if err != nil {
		return []string{config + ": " + err.Error()}
	}
	var left []string
	for _, a := range accounts {
		left = append(left, fmt.Sprintf("account %s of role %s: %s %s", a.id, a.role, a.state, a.lastError))
	}
	if len(left) == 0 && config != "ftd" {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.open, config)
	}
	return left
}

// blameUnknown counts what lives at any vendor and is not in the ledger.
func (s *cluster) blameUnknown(t *testing.T) {
	t.Helper()
	for _, v := range emulated() {
		for _, c := range s.orphans(t, v) {
			of := s.trialOf(c, v)
			t.Errorf("%s: alive at the vendor and not in the ledger any more: %+v", of, c)
			note(of.fault, of.vendor.name, row{orphans: 1})
		}
	}
}

// blame counts what the engine found alive at a vendor without knowing it, and has ended now.
func (s *cluster) blame(t *testing.T, config string, markers []any) {
	t.Helper()
	s.mu.Lock()
	v := vendor{emulated: s.open[config]}
	s.mu.Unlock()
	all, err := s.server.Control().Credentials(t.Context(), v.emulated)
	require.NoError(t, err)
	for _, c := range all {
		if c.EndedBy == "expired" || s.reported[c.ID] || !slices.Contains(markers, any(c.Marker)) {
			continue
		}
		s.reported[c.ID] = true
		of := s.trialOf(c, v)
		t.Errorf("%s: the engine did not know of %+v", of, c)
		note(of.fault, of.vendor.name, row{orphans: 1})
	}
}

// endLeases revokes the leases of a role and tells whether none is left.
func (s *cluster) endLeases(ctx context.Context, role string) bool {
	if err := s.vault().Sys().RevokePrefixWithContext(ctx, s.at("creds/%s", role)); err != nil {
		return false
	}
	left, err := s.leases(ctx, role)
	return err == nil && len(left) == 0
}

// trialOf finds the trial in which a credential was made.
func (s *cluster) trialOf(c devserver.Credential, v vendor) *scenario {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := &scenario{fault: "unknown", vendor: v}
	for _, of := range s.trials {
		if of.vendor.emulated != v.emulated {
			continue
		}
		if strings.Contains(c.Marker, "-"+of.role+"-") || strings.Contains(c.Marker, "-"+of.shared+"-") ||
			c.Marker == "" && !of.begun.After(c.IssuedAt) && of.begun.After(found.begun) {
			found = of
		}
	}
	return found
}
