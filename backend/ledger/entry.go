package ledger

import (
	"encoding/json"
	"time"
)

// State is how far a vendor credential has come.
type State string

const (
	// StateIssuing: the intent is stored and the vendor may or may not have made the credential.
	StateIssuing State = "issuing"
	// StateLive: the vendor made the credential and a lease holds it.
	StateLive State = "live"
	// StateRevoking: the credential shall end, and the vendor has not agreed yet.
	StateRevoking State = "revoking"
	// StateExpiring: the lease is gone and the vendor has no way to end the credential before its
	// expiry.
	StateExpiring State = "expiring"
)

// entryVersion is the schema version of the stored record. A record of a later version is refused
// and not touched, so that a downgrade loses nothing.
const entryVersion = 1

// Entry is the account of one vendor credential, from before it exists until the vendor agreed that
// it is gone. It is stored at ledger/<config>/<id>. All times are UTC.
type Entry struct {
	// Version is the schema version.
	Version int `json:"version"`
	// ID is unique in the mount: 16 characters of [a-z2-7].
	ID string `json:"id"`
	// Revision counts the writes, so that two that were made from the same reading do not undo each other.
	Revision int `json:"revision,omitempty"`
	// Origin tells where the credential was issued, so that nothing is sent elsewhere on its behalf.
	Origin string `json:"origin,omitempty"`
	// Config and Role are the names of what it was issued under.
	Config string `json:"config"`
	Role   string `json:"role"`
	// Marker is what the vendor-side name carries, and how a credential whose answer was lost is
	// found.
	Marker string `json:"marker"`
	// State is how far it has come.
	State State `json:"state"`
	// Handle is the vendor package's own, to renew and revoke with. Absent while issuing.
	Handle json.RawMessage `json:"handle,omitempty"`
	// CreatedAt is when the intent was written.
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when the vendor ends the credential; while issuing, the latest that this can be.
	ExpiresAt time.Time `json:"expires_at"`
	// ExpiryNotEnforced is true when the vendor may not end the credential at ExpiresAt by itself.
	ExpiryNotEnforced bool `json:"expiry_not_enforced,omitempty"`
	// LeaseExpiresAt is when the lease ends unless it is renewed. A credential whose lease has ended
	// without a revocation belongs to a lease that was lost. Holders of a shared one have their own.
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
	// ShareKey names the role, at one revision, whose readers share the credential; empty when each has one
	// of its own, or when a shared one is given to no more readers.
	ShareKey string `json:"share_key,omitempty"`
	// Shared is what further readers get. It holds the leased secret, and is absent from the index.
	Shared json.RawMessage `json:"shared,omitempty"`
	// MaxExpiresAt is the last moment to which renewals may move ExpiresAt of a shared credential.
	MaxExpiresAt time.Time `json:"max_expires_at,omitzero"`
	// Attempts counts failed revocations.
	Attempts int `json:"attempts,omitempty"`
	// NextAttemptAt is when the next one is due.
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	// LastError is why the last one failed, redacted.
	LastError string `json:"last_error,omitempty"`
}

// summary returns a copy for the index in memory and for lists: the handle can hold the leased
// secret, and the index outlives every request.
func (e *Entry) summary() Entry {
	summary := *e
	summary.Handle = nil
	if e.Shared != nil {
		summary.Shared = json.RawMessage("null")
	}
	return summary
}

// IsShared reports whether several leases may hold the credential. It goes with the last of them.
func (e *Entry) IsShared() bool { return e.Shared != nil }

// occupiesSlot reports whether the credential can still be alive at the vendor.
func (e *Entry) occupiesSlot(now time.Time) bool {
	return now.Before(e.ExpiresAt) || e.ExpiryNotEnforced && e.State != StateIssuing
}
