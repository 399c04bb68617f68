package backend

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// rootState is what a config keeps about its root credential beside the root credential itself.
type rootState struct {
	// UpdatedAt is when the root credential was stored.
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	// VaultManaged is true when the vendor was made to change to it: nobody but Vault knows it, and no other works.
	VaultManaged bool `json:"vault_managed,omitempty"`
	// Unverified is true when a person has given it and the vendor has not been asked.
	Unverified bool `json:"unverified,omitempty"`
	// Candidates may be in force at the vendor in place of the stored one. The latest is the last.
	Candidates []rootCandidate `json:"candidates,omitempty"`
	// Previous is the handle of the root credential before this one, which is to be ended.
	Previous json.RawMessage `json:"previous,omitempty"`
	// RecheckCredentials is set after a rotation that may have ended credentials, until they have been looked at.
	RecheckCredentials bool `json:"recheck_credentials,omitempty"`
}

// rootCandidate is a root credential that a vendor was to be changed to, or from.
type rootCandidate struct {
	// Fields are the vendor's config fields that change with it.
	Fields map[string]any `json:"fields"`
	// ConnectionID is that of connections that are opened with it, so that attempts share one login.
	ConnectionID string `json:"connection_id"`
	// State tells what is known of it.
	State candidateState `json:"state"`
}

// candidateState tells what is known of a root credential that is not the stored one. None is forgotten that was ever in
// force or sent to the vendor last: a process that has stalled may ask for the change later, and a device may come
// back from a restart with what it had before.
type candidateState string

const (
	// candidatePending: the vendor was asked to change to it, and nobody knows whether it did.
	candidatePending candidateState = "pending"
	// candidateRejected: the vendor has not changed to it. The next rotation proposes it again, so that it makes no
	// difference which of the two requests comes late.
	candidateRejected candidateState = "rejected"
	// candidateInvalid: the vendor has said that it cannot be one.
	candidateInvalid candidateState = "invalid"
	// candidatePrevious: the one before the stored one.
	candidatePrevious candidateState = "previous"
)

// inDoubt reports whether nobody knows which root credential is in force.
func (r *rootState) inDoubt() bool {
	return slices.ContainsFunc(r.Candidates, func(o rootCandidate) bool { return o.State == candidatePending })
}

// String tells where a rotation stands, for people.
func (r *rootState) String() string {
	switch {
	case r.inDoubt():
		return "in_doubt"
	case r.Previous != nil:
		return "previous_not_revoked"
	}
	return "current"
}

// put adds another one in place of one with the same fields or state. Others is not changed in place, since configs
// are copied.
func (r *rootState) put(other rootCandidate) {
	others := slices.DeleteFunc(slices.Clone(r.Candidates), func(o rootCandidate) bool {
		return o.State == other.State || reflect.DeepEqual(o.Fields, other.Fields)
	})
	others = append(others, other)
	r.Candidates = others
}

// resolveInDoubt gives what was in doubt another state.
func (r *rootState) resolveInDoubt(state candidateState) {
	for _, other := range slices.Clone(r.Candidates) {
		if other.State == candidatePending {
			other.State = state
			r.put(other)
		}
	}
}

// nextPending returns what is to be proposed next: what the vendor has refused before, or else something new.
func (r *rootState) nextPending(fresh map[string]any) rootCandidate {
	for _, other := range r.Candidates {
		if other.State == candidateRejected || other.State == candidatePending {
			other.State = candidatePending
			return other
		}
	}
	return rootCandidate{Fields: fresh, ConnectionID: rand.Text(), State: candidatePending}
}

// probeOrder are the others in the order in which they are tried, the latest first: before the stored one what is in
// doubt, and the rest only when the vendor has refused that and the stored one too. Where nothing is in doubt, it was
// the stored one's refusal that led here, and all are tried first.
func (r *rootState) probeOrder() (first, last []rootCandidate) {
	for _, other := range slices.Backward(r.Candidates) {
		if other.State == candidatePending {
			first = append(first, other)
		} else {
			last = append(last, other)
		}
	}
	if len(first) == 0 {
		return last, nil
	}
	return first, last
}

// hasKeptRoots reports whether a write by hand has more to replace than the stored root credential.
func (r *rootState) hasKeptRoots() bool { return r.VaultManaged || len(r.Candidates) > 0 }

// withRoot returns the config with other vendor's fields as its root credential, as it would be opened.
func (c *configEntry) withRoot(root rootCandidate, now time.Time) *configEntry {
	other := *c
	other.Fields = maps.Clone(c.Fields)
	maps.Copy(other.Fields, root.Fields)
	// What readers share outlives a rotation where the vendor lets it.
	if other.SharingEpoch == "" {
		other.SharingEpoch = other.ConnectionID
	}
	other.ConnectionID = root.ConnectionID
	other.RootMarker = ""
	other.Root.UpdatedAt = now
	return &other
}

// previousRoot is the config's root credential as one that another takes the place of, which changes some fields.
func (c *configEntry) previousRoot(changed []string) rootCandidate {
	before := rootCandidate{Fields: map[string]any{}, ConnectionID: c.ConnectionID, State: candidatePrevious}
	for _, field := range changed {
		before.Fields[field] = c.Fields[field]
	}
	return before
}

// replacedInPlace returns the config with another root credential that has taken the place of the stored one, which is kept
// beside it.
func (c *configEntry) replacedInPlace(root rootCandidate, now time.Time) *configEntry {
	next := c.withRoot(root, now)
	next.Root.VaultManaged, next.Root.RecheckCredentials = true, true
	next.Root.Candidates = slices.DeleteFunc(slices.Clone(c.Root.Candidates), func(o rootCandidate) bool { return reflect.DeepEqual(o.Fields, root.Fields) })
	next.Root.resolveInDoubt(candidateRejected)
	// What a person has typed in and nobody has tried does not take the place of one that was in force.
	if !c.Root.Unverified || !slices.ContainsFunc(next.Root.Candidates, func(o rootCandidate) bool { return o.State == candidatePrevious }) {
		next.Root.put(c.previousRoot(slices.Collect(maps.Keys(root.Fields))))
	}
	next.Root.Unverified = false
	return next
}

// suppliedByOperator is for a root credential that a person gives. Until the vendor has taken it, the ones that it may have
// are kept, and the stored one if nobody else knows it.
func (r *rootState) suppliedByOperator(old *configEntry, given map[string]any, vendor provider.Provider, now time.Time) {
	if old != nil && r.VaultManaged && !r.Unverified {
		var changed []string
		for field := range vendor.ConfigFields() {
			if _, is := given[field]; is {
				changed = append(changed, field)
			}
		}
		r.put(old.previousRoot(changed))
	}
	r.resolveInDoubt(candidateRejected)
	r.UpdatedAt, r.Unverified = now, true
}

// markVerified is for a root credential that a person gave and the vendor has taken.
func (r *rootState) markVerified() { r.Candidates, r.VaultManaged, r.Unverified = nil, false, false }
