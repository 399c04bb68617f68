package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// entry is the engine's ledger entry of one credential.
type entry struct {
	id, role, marker, state, lastError string
	issued, expires                    time.Time
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

// entryID returns the id of the ledger entry that the lease belongs to.
func (l lease) entryID() string { return text(l.Secret.InternalData, "id") }

// liveCredentials returns a vendor's leased credentials that are live.
func (cl *cluster) liveCredentials(ctx context.Context, vendor string) ([]devserver.Credential, error) {
	all, err := cl.server.Control().Credentials(ctx, vendor)
	return slices.DeleteFunc(all, func(c devserver.Credential) bool { return !c.Live || c.Kind != "leased" }), err
}

// entries returns the ledger entries of a config, by id.
func (cl *cluster) entries(ctx context.Context, config string) (map[string]entry, error) {
	listed, err := cl.vault().Logical().ListWithContext(ctx, cl.path("config/%s/credentials", config))
	if err != nil || listed == nil {
		return nil, err
	}
	entries := map[string]entry{}
	info, _ := listed.Data["key_info"].(map[string]any)
	for id, details := range info {
		fields, _ := details.(map[string]any)
		issued, err := time.Parse(time.RFC3339, text(fields, "issued_at"))
		if err != nil {
			return nil, err
		}
		expires, err := time.Parse(time.RFC3339, text(fields, "expires_at"))
		if err != nil {
			return nil, err
		}
		entries[id] = entry{
			id: id, role: text(fields, "role"), marker: text(fields, "marker"), state: text(fields, "state"),
			lastError: text(fields, "last_error"), issued: issued, expires: expires,
		}
	}
	return entries, nil
}

// leases returns the leases that Vault has stored for a role.
func (cl *cluster) leases(ctx context.Context, role string) ([]lease, error) {
	path := "sys/raw/sys/expire/id/" + cl.path("creds/%s/", role)
	listed, err := cl.vault().Logical().ListWithContext(ctx, path)
	if err != nil || listed == nil {
		return nil, err
	}
	keys, _ := listed.Data["keys"].([]any)
	var leases []lease
	for _, key := range keys {
		raw, err := cl.vault().Logical().ReadWithContext(ctx, fmt.Sprintf("%s%v", path, key))
		if err != nil {
			return nil, err
		}
		if raw == nil {
			continue // it ended after it was listed
		}
		var stored lease
		if err := json.Unmarshal([]byte(text(raw.Data, "value")), &stored); err != nil {
			return nil, fmt.Errorf("read a stored lease: %w", err)
		}
		leases = append(leases, stored)
	}
	return leases, nil
}

// unledgered returns the live credentials of a vendor without a ledger entry. The engine writes the entry before the
// credential is created, and deletes it after the credential has ended. So the live credentials are listed first, and
// those without an entry are listed again at the end.
func (cl *cluster) unledgered(t *testing.T, v target) []devserver.Credential {
	t.Helper()
	live, err := cl.liveCredentials(t.Context(), v.Name)
	require.NoError(t, err)
	live = cl.unreported(live) // an orphan of an earlier scenario has no entry that it could match
	known := map[string]entry{}
	for _, config := range cl.openConfigs(v.Name) {
		entries, err := cl.entries(t.Context(), config)
		require.NoError(t, err)
		maps.Copy(known, entries)
	}
	suspects := unmatched(live, slices.Collect(maps.Values(known)), v)
	if len(suspects) == 0 {
		return nil
	}
	stillLive, err := cl.liveCredentials(t.Context(), v.Name)
	require.NoError(t, err)
	return slices.DeleteFunc(suspects, func(c devserver.Credential) bool {
		return !slices.ContainsFunc(stillLive, func(live devserver.Credential) bool { return live.ID == c.ID })
	})
}

// issueSpan is the longest time between an intent and its credential: the longest that a driver waits for its turn.
const issueSpan = 40 * time.Second

// unmatched returns the credentials without an entry. Credentials match entries by marker, or, at vendors without
// markers, by time. An entry matches one credential.
func unmatched(live []devserver.Credential, entries []entry, v target) []devserver.Credential {
	if v.Marked {
		live, _ = withoutPairs(live, entries, func(e entry, c devserver.Credential) bool { return e.marker == c.Marker })
		return live
	}
	if v.keepsChecked {
		// The credential of a check becomes that of the next reader, whose entry is written later. Such credentials match
		// by their end, which never changes. The engine assumes one that is a second earlier, counts from before the
		// request was sent, and shows whole seconds.
		slices.SortFunc(entries, func(a, b entry) int { return a.expires.Compare(b.expires) })
		live, entries = withoutPairs(live, entries, func(e entry, c devserver.Credential) bool {
			early := c.ExpiresAt.Sub(e.expires)
			return 0 <= early && early <= 2*time.Second
		})
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.issued.Compare(b.issued) })
	live, _ = withoutPairs(live, entries, func(e entry, c devserver.Credential) bool {
		// The inventory shows whole seconds.
		return !e.issued.After(c.IssuedAt) && c.IssuedAt.Before(e.issued.Add(issueSpan))
	})
	return live
}

func TestUnmatched_CheckedToken_MatchesLaterEntry(t *testing.T) {
	second := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	expiry := second.Add(30 * time.Second)
	token := devserver.Credential{ID: "token", IssuedAt: second.Add(990 * time.Millisecond), ExpiresAt: &expiry}
	later := entry{issued: second.Add(time.Second), expires: expiry.Add(-time.Second)} // of the reader that got the token
	kept, usual := labeled("fortisiem")[0], labeled("lacework")[0]
	require.Empty(t, unmatched([]devserver.Credential{token}, []entry{later}, kept))
	require.Len(t, unmatched([]devserver.Credential{token}, []entry{later}, usual), 1, "its checks issue no token that a reader gets")
	require.Len(t, unmatched([]devserver.Credential{token, token}, []entry{later}, kept), 1, "an entry matches one")
	for _, early := range []time.Duration{-time.Second, 3 * time.Second} {
		other := later
		other.expires = expiry.Add(-early)
		require.Len(t, unmatched([]devserver.Credential{token}, []entry{other}, kept), 1, "the entry ends %s earlier", early)
	}
	before := entry{issued: second, expires: expiry.Add(time.Hour)} // an intent, whose end is not known
	require.Empty(t, unmatched([]devserver.Credential{token}, []entry{before}, kept))
}

// withoutPairs gives each credential, in turn, the first entry that matches, and returns the credentials and the entries
// that are left.
func withoutPairs(live []devserver.Credential, entries []entry, match func(entry, devserver.Credential) bool) (without []devserver.Credential, left []entry) {
	left = slices.Clone(entries)
	for _, credential := range live {
		i := slices.IndexFunc(left, func(e entry) bool { return match(e, credential) })
		if i < 0 {
			without = append(without, credential)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	return without, left
}

// orphans returns the credentials that stay without a ledger entry and were not reported before.
func (cl *cluster) orphans(t *testing.T, v target) []devserver.Credential {
	t.Helper()
	var found []devserver.Credential
	// Without markers, a credential that ends during the comparison can make another one look like an orphan.
	await(time.Second, func() bool { found = cl.unledgered(t, v); return len(found) == 0 })
	cl.mu.Lock()
	defer cl.mu.Unlock()
	for _, c := range found {
		cl.reported[c.ID] = true
	}
	return found
}

// unreported returns the credentials that were not reported before.
func (cl *cluster) unreported(credentials []devserver.Credential) []devserver.Credential {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return slices.DeleteFunc(credentials, func(c devserver.Credential) bool { return cl.reported[c.ID] })
}

// issued returns the leased credentials that the vendor has issued since the scenario began, without those that a
// concurrent scenario has counted.
func (sc *scenario) issued(t *testing.T) []devserver.Credential {
	t.Helper()
	all, err := sc.server.Control().Credentials(t.Context(), sc.target.Name)
	require.NoError(t, err)
	sc.cluster.mu.Lock()
	defer sc.cluster.mu.Unlock()
	return slices.DeleteFunc(all[sc.from:], func(c devserver.Credential) bool {
		counted := sc.counted[c.ID]
		sc.counted[c.ID] = true
		return counted || c.Kind != "leased"
	})
}
