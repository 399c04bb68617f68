package emulator

import (
	"fmt"
	"time"
)

// The kinds of [Credential].
const (
	// KindLogin is a credential that manages others: a session that the root credential opened, or a root
	// credential itself.
	KindLogin = "login"
	// KindLeased is a credential for an application, which the engine leases.
	KindLeased = "leased"
)

// The reasons for the end of a [Credential] that several vendors share. A vendor may add reasons of its own.
const (
	EndedExpired         = "expired"
	EndedRevoked         = "revoked"
	EndedEvicted         = "evicted"
	EndedPasswordChanged = "password_changed"
)

// Credential is one credential that a vendor issued, without its secrets. Its times are emulated times, without
// the vendor's clock skew.
type Credential struct {
	// ID is the vendor's own id of the credential, or an invented one if the vendor has none.
	ID string `json:"id"`
	// Kind is [KindLogin] or [KindLeased].
	Kind string `json:"kind"`
	// Marker is the label that the client gave to the credential, "" if the vendor has no field for one.
	Marker   string    `json:"marker"`
	IssuedAt time.Time `json:"issued_at"`
	// ExpiresAt is when the last part of the credential, such as a refresh token, expires; nil if never.
	ExpiresAt *time.Time `json:"expires_at"`
	// EndedAt is nil while the credential is live.
	EndedAt *time.Time `json:"ended_at"`
	// EndedBy is the reason for the end, "" while the credential is live.
	EndedBy string `json:"ended_by"`
	Live    bool   `json:"live"`
}

// History records all credentials that a vendor issues, permanently: only a reset deletes entries. The vendor's
// lock guards it, so a service uses it from handlers, actions and Reset only.
type History struct {
	env     *Env
	entries []*entry
	byID    map[string]*entry
}

// entry is one credential in the history. The expiry is in the vendor's own time, since the vendor decides by
// it. The other times are emulated times, so that a later change of the skew does not change them.
type entry struct {
	id, kind, marker string
	issued, ended    time.Time
	expires          time.Time
	endedBy          string
}

// expire records the end of an entry whose expiry has passed.
func (h *History) expire(e *entry) {
	if e.endedBy == "" && !e.expires.IsZero() && !h.env.Now().Before(e.expires) {
		e.ended, e.endedBy = e.expires.Add(-h.env.skew()), EndedExpired
	}
}

// Issue records a new credential that expires at expires, in the vendor's time, or never if expires is zero. It
// panics if the id is in the history already, which is a mistake in the vendor's package.
func (h *History) Issue(id, kind, marker string, expires time.Time) {
	if _, twice := h.byID[id]; twice {
		panic(fmt.Sprintf("emulator: credential %q is issued twice", id))
	}
	e := &entry{id: id, kind: kind, marker: marker, issued: h.env.clock.Now(), expires: expires}
	h.entries = append(h.entries, e)
	h.byID[id] = e
}

// find returns the entry of a credential, or nil. It records the expiry first if that has passed.
func (h *History) find(id string) *entry {
	e := h.byID[id]
	if e != nil {
		h.expire(e)
	}
	return e
}

// Live reports whether the credential was issued and has not ended.
func (h *History) Live(id string) bool {
	e := h.find(id)
	return e != nil && e.endedBy == ""
}

// End records that a live credential ends now, for the reason by. It reports false and changes nothing if the
// credential is not live.
func (h *History) End(id, by string) bool {
	e := h.find(id)
	if e == nil || e.endedBy != "" {
		return false
	}
	e.ended, e.endedBy = h.env.clock.Now(), by
	return true
}

// Extend sets the expiry of a live credential to expires, or to never if expires is zero. It reports false and
// changes nothing if the credential is not live.
func (h *History) Extend(id string, expires time.Time) bool {
	e := h.find(id)
	if e == nil || e.endedBy != "" {
		return false
	}
	e.expires = expires
	return true
}

// reset deletes all entries.
func (h *History) reset() {
	h.entries, h.byID = nil, map[string]*entry{}
}

// list returns all credentials in the order of issue, with passed expiries recorded.
func (h *History) list() []Credential {
	skew := h.env.skew()
	list := make([]Credential, 0, len(h.entries))
	for _, e := range h.entries {
		h.expire(e)
		c := Credential{
			ID: e.id, Kind: e.kind, Marker: e.marker, IssuedAt: e.issued,
			EndedBy: e.endedBy, Live: e.endedBy == "",
		}
		if !e.expires.IsZero() {
			t := e.expires.Add(-skew)
			c.ExpiresAt = &t
		}
		if !e.ended.IsZero() {
			t := e.ended
			c.EndedAt = &t
		}
		list = append(list, c)
	}
	return list
}
