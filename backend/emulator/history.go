package emulator

import (
	"fmt"
	"time"
)

// The kinds of [Credential].
const (
	// KindLogin marks a management session, made with the root credential itself.
	KindLogin = "login"
	// KindLeased marks what is made for somebody else to use.
	KindLeased = "leased"
)

// Reasons for the end of a [Credential] that several vendors share. A vendor may add its own.
const (
	EndedExpired         = "expired"
	EndedRevoked         = "revoked"
	EndedEvicted         = "evicted"
	EndedPasswordChanged = "password_changed"
)

// Credential is one thing that a vendor issued, without its secrets. Times are emulated time with the
// vendor's clock skew taken out.
type Credential struct {
	// ID is the vendor's own name for the credential, or one made up where the vendor gives none.
	ID string `json:"id"`
	// Kind is [KindLogin] or [KindLeased].
	Kind string `json:"kind"`
	// Marker is the label that the client put on it, "" where the vendor has no place for one.
	Marker   string    `json:"marker"`
	IssuedAt time.Time `json:"issued_at"`
	// ExpiresAt is when the last part of it (a refresh token, say) stops working; nil if never.
	ExpiresAt *time.Time `json:"expires_at"`
	// EndedAt is nil while it lives.
	EndedAt *time.Time `json:"ended_at"`
	// EndedBy is "" while it lives.
	EndedBy string `json:"ended_by"`
	Live    bool   `json:"live"`
}

// History records everything that a vendor issues, for good. It is guarded by the lock of its vendor: a twin
// uses it from handlers, actions and Reset only.
type History struct {
	env     *Env
	entries []*entry
	byID    map[string]*entry
}

// entry is a line of the book. The expiry is in the vendor's own time, since the vendor decides by it; what
// happened is in emulated time, so that a later change of the skew does not rewrite history.
type entry struct {
	id, kind, marker string
	issued, ended    time.Time
	expires          time.Time
	endedBy          string
}

// expire notes an expiry that has come to pass.
func (h *History) expire(e *entry) {
	if e.endedBy == "" && !e.expires.IsZero() && !h.env.Now().Before(e.expires) {
		e.ended, e.endedBy = e.expires.Add(-h.env.skew()), EndedExpired
	}
}

// Issue records a new credential that ends at expires, or never when expires is zero. An id that was used
// before is a mistake in the vendor's package, and panics.
func (h *History) Issue(id, kind, marker string, expires time.Time) {
	if _, twice := h.byID[id]; twice {
		panic(fmt.Sprintf("emulator: credential %q is issued twice", id))
	}
	e := &entry{id: id, kind: kind, marker: marker, issued: h.env.clock.Now(), expires: expires}
	h.entries = append(h.entries, e)
	h.byID[id] = e
}

// find returns the line of a credential with its expiry noted, or nil.
func (h *History) find(id string) *entry {
	e := h.byID[id]
	if e != nil {
		h.expire(e)
	}
	return e
}

// Live tells whether the credential was issued and has not ended.
func (h *History) Live(id string) bool {
	e := h.find(id)
	return e != nil && e.endedBy == ""
}

// End records that a live credential ends now, and why. It reports false, and changes nothing, when the
// credential is not live.
func (h *History) End(id, by string) bool {
	e := h.find(id)
	if e == nil || e.endedBy != "" {
		return false
	}
	e.ended, e.endedBy = h.env.clock.Now(), by
	return true
}

// Extend moves the expiry of a live credential to expires, or takes it away when expires is zero. It reports
// false, and changes nothing, when the credential is not live.
func (h *History) Extend(id string, expires time.Time) bool {
	e := h.find(id)
	if e == nil || e.endedBy != "" {
		return false
	}
	e.expires = expires
	return true
}

// reset forgets everything.
func (h *History) reset() {
	h.entries, h.byID = nil, map[string]*entry{}
}

// list returns all credentials in the order of issue, each line settled.
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
