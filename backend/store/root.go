package store

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// RootState is what a config stores about its root credential in addition to the credential itself.
type RootState struct {
	// UpdatedAt is when the root credential was stored.
	UpdatedAt time.Time `json:"updated_at,omitzero"`
	// RotatedAt is when a rotation last replaced the root credential. Zero if none did.
	RotatedAt time.Time `json:"rotated_at,omitzero"`
	// ExpiresAt is when the root credential itself expires, by the vendor's last report. Zero if it does not, or if that
	// is not known.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// VaultManaged is true when a rotation created the root credential: only Vault knows it, and no other one
	// works.
	VaultManaged bool `json:"vault_managed,omitempty"`
	// Unverified is true when an operator supplied the root credential and the vendor has not been asked.
	Unverified bool `json:"unverified,omitempty"`
	// Candidates are root credentials that the vendor may accept in place of the stored one. The latest is the
	// last.
	Candidates []RootCandidate `json:"candidates,omitempty"`
	// Previous is the handle of the root credential before this one, which must be revoked.
	Previous json.RawMessage `json:"previous,omitempty"`
	// RecheckCredentials is set after a rotation that may have ended credentials, until each of them has been
	// checked.
	RecheckCredentials bool `json:"recheck_credentials,omitempty"`
}

// RootCandidate is a root credential that a vendor was asked to change to, or from.
type RootCandidate struct {
	// Fields are the vendor's config fields that change with it.
	Fields map[string]any `json:"fields"`
	// ConnectionID is that of connections that are opened with it, so that attempts share one login.
	ConnectionID string `json:"connection_id"`
	// State tells what is known of it.
	State CandidateState `json:"state"`
}

// CandidateState tells what is known of a root credential that is not the stored one. The engine keeps every
// root credential that the vendor has accepted, and the one that was sent last: a stalled process may ask for
// the change later, and a device may restart with what it had before.
type CandidateState string

const (
	// CandidatePending: the vendor was asked to change to it, and its answer is not known.
	CandidatePending CandidateState = "pending"
	// CandidateRejected: the vendor has not changed to it. The next rotation proposes it again, so that it
	// makes no difference which of the two requests arrives late.
	CandidateRejected CandidateState = "rejected"
	// CandidateInvalid: the vendor does not accept it as a root credential.
	CandidateInvalid CandidateState = "invalid"
	// CandidatePrevious: the root credential before the stored one.
	CandidatePrevious CandidateState = "previous"
)

// InDoubt reports whether it is not known which root credential the vendor accepts.
func (r *RootState) InDoubt() bool {
	return slices.ContainsFunc(r.Candidates, func(c RootCandidate) bool { return c.State == CandidatePending })
}

// String returns the state of a rotation as config reads show it: current, in_doubt or previous_not_revoked.
func (r *RootState) String() string {
	switch {
	case r.InDoubt():
		return "in_doubt"
	case r.Previous != nil:
		return "previous_not_revoked"
	}
	return "current"
}

// Put adds a candidate. It replaces those with the same fields or state. Candidates is not changed in place,
// since configs are copied.
func (r *RootState) Put(candidate RootCandidate) {
	candidates := slices.DeleteFunc(slices.Clone(r.Candidates), func(other RootCandidate) bool {
		return other.State == candidate.State || reflect.DeepEqual(other.Fields, candidate.Fields)
	})
	candidates = append(candidates, candidate)
	r.Candidates = candidates
}

// ResolveInDoubt gives the pending candidate another state.
func (r *RootState) ResolveInDoubt(state CandidateState) {
	for _, candidate := range slices.Clone(r.Candidates) {
		if candidate.State == CandidatePending {
			candidate.State = state
			r.Put(candidate)
		}
	}
}

// NextPending returns the candidate for the next rotation: one that the vendor has rejected before, or else
// one with the given fields.
func (r *RootState) NextPending(fresh map[string]any) RootCandidate {
	for _, candidate := range r.Candidates {
		if candidate.State == CandidateRejected || candidate.State == CandidatePending {
			candidate.State = CandidatePending
			return candidate
		}
	}
	return RootCandidate{Fields: fresh, ConnectionID: rand.Text(), State: CandidatePending}
}

// ProbeOrder returns the candidates in the order in which they are probed, the latest first: the pending one
// before the stored root credential, and the rest only if the vendor rejects both. When none is pending, the
// stored root credential was rejected already, and all candidates are probed first.
func (r *RootState) ProbeOrder() (first, last []RootCandidate) {
	for _, candidate := range slices.Backward(r.Candidates) {
		if candidate.State == CandidatePending {
			first = append(first, candidate)
		} else {
			last = append(last, candidate)
		}
	}
	if len(first) == 0 {
		return last, nil
	}
	return first, last
}

// HasKeptRoots reports whether the config keeps root credentials besides the stored one, or a stored one that
// only Vault knows.
func (r *RootState) HasKeptRoots() bool { return r.VaultManaged || len(r.Candidates) > 0 }

// SuppliedByOperator records that an operator writes a root credential. Until the vendor has accepted it, the
// candidates are kept, and so is the stored one if only Vault knows it. supplied holds the written fields.
func (r *RootState) SuppliedByOperator(old *Config, supplied map[string]any, vendor provider.Provider, now time.Time) {
	if old != nil && r.VaultManaged && !r.Unverified {
		var changed []string
		for field := range vendor.ConfigFields() {
			if _, ok := supplied[field]; ok {
				changed = append(changed, field)
			}
		}
		r.Put(old.PreviousRoot(changed))
	}
	r.ResolveInDoubt(CandidateRejected)
	r.UpdatedAt, r.Unverified, r.ExpiresAt = now, true, time.Time{}
}

// MarkVerified records that the vendor has accepted the root credential that an operator supplied.
func (r *RootState) MarkVerified() { r.Candidates, r.VaultManaged, r.Unverified = nil, false, false }

// MarkAccepted records that the vendor accepts the stored root credential since an operator supplied it unverified, and
// reports whether it was. Candidates of later rotations are kept: the vendor may change to them late.
func (r *RootState) MarkAccepted() bool {
	if !r.Unverified || r.InDoubt() {
		return false
	}
	r.Candidates = slices.DeleteFunc(slices.Clone(r.Candidates), func(c RootCandidate) bool { return c.State != CandidateRejected })
	r.VaultManaged, r.Unverified = false, false
	return true
}

// WithRoot returns a copy of the config that uses root as its root credential.
func (c *Config) WithRoot(root RootCandidate, now time.Time) *Config {
	next := *c
	next.Fields = maps.Clone(c.Fields)
	maps.Copy(next.Fields, root.Fields)
	// Shared credentials outlive a rotation at vendors that allow it.
	if next.SharingEpoch == "" {
		next.SharingEpoch = next.ConnectionID
	}
	next.ConnectionID = root.ConnectionID
	next.RootMarker = ""
	next.Root.UpdatedAt, next.Root.ExpiresAt = now, time.Time{}
	return &next
}

// PreviousRoot returns the values that the listed fields have before a rotation replaces them.
func (c *Config) PreviousRoot(changed []string) RootCandidate {
	previous := RootCandidate{Fields: map[string]any{}, ConnectionID: c.ConnectionID, State: CandidatePrevious}
	for _, field := range changed {
		previous.Fields[field] = c.Fields[field]
	}
	return previous
}

// ReplacedInPlace returns a copy of the config whose root credential the vendor has replaced by root. The
// replaced one is kept as a candidate.
func (c *Config) ReplacedInPlace(root RootCandidate, now time.Time) *Config {
	next := c.WithRoot(root, now)
	next.Root.VaultManaged, next.Root.RecheckCredentials = true, true
	if root.State != CandidatePrevious { // a device may return to the password before a rotation
		next.Root.RotatedAt = now
	}
	next.Root.Candidates = slices.DeleteFunc(slices.Clone(c.Root.Candidates), func(candidate RootCandidate) bool {
		return reflect.DeepEqual(candidate.Fields, root.Fields)
	})
	next.Root.ResolveInDoubt(CandidateRejected)
	// A root credential that was supplied and never verified must not replace one that the vendor accepted.
	hasPrevious := slices.ContainsFunc(next.Root.Candidates, func(candidate RootCandidate) bool { return candidate.State == CandidatePrevious })
	if !c.Root.Unverified || !hasPrevious {
		next.Root.Put(c.PreviousRoot(slices.Collect(maps.Keys(root.Fields))))
	}
	next.Root.Unverified = false
	return next
}
