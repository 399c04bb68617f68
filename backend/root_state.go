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
	// SetAt is when the root credential was stored.
	SetAt time.Time `json:"set_at,omitzero"`
	// OnlyHere is true when the vendor was made to change to it: nobody but Vault knows it, and no other works.
	OnlyHere bool `json:"only_here,omitempty"`
	// Untried is true when a person has given it and the vendor has not been asked.
	Untried bool `json:"untried,omitempty"`
	// Others may be in force at the vendor in place of the stored one. The latest is the last.
	Others []otherRoot `json:"others,omitempty"`
	// Former is the handle of the root credential before this one, which is to be ended.
	Former json.RawMessage `json:"former,omitempty"`
	// LookAtCredentials is set after a rotation that may have ended credentials, until they have been looked at.
	LookAtCredentials bool `json:"look_at_credentials,omitempty"`
}

// otherRoot is a root credential that a vendor was to be changed to, or from.
type otherRoot struct {
	// Fields are the vendor's config fields that change with it.
	Fields map[string]any `json:"fields"`
	// Generation is that of connections that are opened with it, so that attempts share one login.
	Generation string `json:"generation"`
	// State tells what is known of it.
	State otherState `json:"state"`
}

// otherState tells what is known of a root credential that is not the stored one. None is forgotten that was ever in
// force or sent to the vendor last: a process that has stalled may ask for the change later, and a device may come
// back from a restart with what it had before.
type otherState string

const (
	// otherInDoubt: the vendor was asked to change to it, and nobody knows whether it did.
	otherInDoubt otherState = "in doubt"
	// otherRefused: the vendor has not changed to it. The next rotation proposes it again, so that it makes no
	// difference which of the two requests comes late.
	otherRefused otherState = "refused"
	// otherUnacceptable: the vendor has said that it cannot be one.
	otherUnacceptable otherState = "unacceptable"
	// otherBefore: the one before the stored one.
	otherBefore otherState = "before"
)

// inDoubt reports whether nobody knows which root credential is in force.
func (r *rootState) inDoubt() bool {
	return slices.ContainsFunc(r.Others, func(o otherRoot) bool { return o.State == otherInDoubt })
}

// String tells where a rotation stands, for people.
func (r *rootState) String() string {
	switch {
	case r.inDoubt():
		return "in doubt"
	case r.Former != nil:
		return "former not ended"
	}
	return "settled"
}

// keep adds another one in place of one with the same fields or state. Others is not changed in place, since configs
// are copied.
func (r *rootState) keep(other otherRoot) {
	others := slices.DeleteFunc(slices.Clone(r.Others), func(o otherRoot) bool {
		return o.State == other.State || reflect.DeepEqual(o.Fields, other.Fields)
	})
	others = append(others, other)
	r.Others = others
}

// judged gives what was in doubt another state.
func (r *rootState) judged(state otherState) {
	for _, other := range slices.Clone(r.Others) {
		if other.State == otherInDoubt {
			other.State = state
			r.keep(other)
		}
	}
}

// proposal returns what is to be proposed next: what the vendor has refused before, or else something new.
func (r *rootState) proposal(fresh map[string]any) otherRoot {
	for _, other := range r.Others {
		if other.State == otherRefused || other.State == otherInDoubt {
			other.State = otherInDoubt
			return other
		}
	}
	return otherRoot{Fields: fresh, Generation: rand.Text(), State: otherInDoubt}
}

// candidates are the others in the order in which they are tried, the latest first: before the stored one what is in
// doubt, and the rest only when the vendor has refused that and the stored one too. Where nothing is in doubt, it was
// the stored one's refusal that led here, and all are tried first.
func (r *rootState) candidates() (first, last []otherRoot) {
	for _, other := range slices.Backward(r.Others) {
		if other.State == otherInDoubt {
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

// holdsMore reports whether a write by hand has more to replace than the stored root credential.
func (r *rootState) holdsMore() bool { return r.OnlyHere || len(r.Others) > 0 }

// with returns the config with other vendor's fields as its root credential, as it would be opened.
func (c *configEntry) with(root otherRoot, now time.Time) *configEntry {
	other := *c
	other.Fields = maps.Clone(c.Fields)
	maps.Copy(other.Fields, root.Fields)
	// What readers share outlives a rotation where the vendor lets it.
	if other.ShareGeneration == "" {
		other.ShareGeneration = other.Generation
	}
	other.Generation = root.Generation
	other.RootMarker = ""
	other.Root.SetAt = now
	return &other
}

// before is the config's root credential as one that another takes the place of, which changes some fields.
func (c *configEntry) before(changed []string) otherRoot {
	before := otherRoot{Fields: map[string]any{}, Generation: c.Generation, State: otherBefore}
	for _, field := range changed {
		before.Fields[field] = c.Fields[field]
	}
	return before
}

// inPlace returns the config with another root credential that has taken the place of the stored one, which is kept
// beside it.
func (c *configEntry) inPlace(root otherRoot, now time.Time) *configEntry {
	next := c.with(root, now)
	next.Root.OnlyHere, next.Root.LookAtCredentials = true, true
	next.Root.Others = slices.DeleteFunc(slices.Clone(c.Root.Others), func(o otherRoot) bool { return reflect.DeepEqual(o.Fields, root.Fields) })
	next.Root.judged(otherRefused)
	// What a person has typed in and nobody has tried does not take the place of one that was in force.
	if !c.Root.Untried || !slices.ContainsFunc(next.Root.Others, func(o otherRoot) bool { return o.State == otherBefore }) {
		next.Root.keep(c.before(slices.Collect(maps.Keys(root.Fields))))
	}
	next.Root.Untried = false
	return next
}

// writtenByHand is for a root credential that a person gives. Until the vendor has taken it, the ones that it may have
// are kept, and the stored one if nobody else knows it.
func (r *rootState) writtenByHand(old *configEntry, given map[string]any, vendor provider.Provider, now time.Time) {
	if old != nil && r.OnlyHere && !r.Untried {
		var changed []string
		for field := range vendor.ConfigFields() {
			if _, is := given[field]; is {
				changed = append(changed, field)
			}
		}
		r.keep(old.before(changed))
	}
	r.judged(otherRefused)
	r.SetAt, r.Untried = now, true
}

// verified is for a root credential that a person gave and the vendor has taken.
func (r *rootState) verified() { r.Others, r.OnlyHere, r.Untried = nil, false, false }
