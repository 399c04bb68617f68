package ledger

import (
	"encoding/json"
	"time"
)

// State is the stage of a credential's life.
type State string

const (
	// StateIssuing: the intent is stored, and the vendor may have created the credential.
	StateIssuing State = "issuing"
	// StateLive: the vendor has created the credential, and a lease holds it.
	StateLive State = "live"
	// StateRevoking: the credential must end, and the vendor has not confirmed it yet.
	StateRevoking State = "revoking"
	// StateSearching: the outcome of the issue is unknown, because the vendor's answer was lost or because the
	// process died. A credential may exist, or may still appear: its marker is searched at growing intervals.
	StateSearching State = "searching"
	// StateExpiring: no lease holds the credential, and the vendor cannot revoke it before its expiry.
	StateExpiring State = "expiring"

	// StateUnreadable: this version of the plugin cannot read the record, because a later version has written it or
	// because it is damaged. It exists only in memory. The record is kept and not changed, and occupies a slot.
	StateUnreadable State = "unreadable"
)

// entryVersion is the schema version of the stored record. A record of a later version is refused and not
// changed, so that a downgrade loses nothing. Version 2 added the requester and the check.
const entryVersion = 2

// Requester is who asked for a credential, as Vault knows it. Vault checks policies by it, and its audit log has the
// same values. It is not used for decisions.
type Requester struct {
	// EntityID is the ID of the identity entity. Empty for a token without one, such as a root token.
	EntityID string `json:"entity_id,omitempty"`
	// DisplayName is the display name of the token.
	DisplayName string `json:"display_name,omitempty"`
	// TokenAccessor is the accessor of the token, as Vault passes it to the plugin. Empty for a batch token.
	TokenAccessor string `json:"token_accessor,omitempty"`
	// LeasePath is the path of the request, with the mount's: the IDs of the leases begin with it.
	LeasePath string `json:"lease_path,omitempty"`
}

// Entry records one vendor credential, from before it exists until the vendor has confirmed that it no longer
// exists. It is stored at ledger/<config>/<id>. All times are UTC.
type Entry struct {
	// Version is the schema version.
	Version int `json:"version"`
	// ID is unique in the mount: 16 characters of [a-z2-7].
	ID string `json:"id"`
	// Revision counts the writes. An update that started from an older revision is refused.
	Revision int `json:"revision,omitempty"`
	// Origin identifies where the credential was issued, so that nothing is sent to another address on its behalf.
	Origin string `json:"origin,omitempty"`
	// Config and Role are the names under which it was issued.
	Config string `json:"config"`
	Role   string `json:"role"`
	// Marker is part of the vendor-side name. A credential whose answer was lost is found by it.
	Marker string `json:"marker"`
	// State is the stage of the credential's life.
	State State `json:"state"`
	// Handle is what the driver needs to renew and revoke the credential. Absent while issuing.
	Handle json.RawMessage `json:"handle,omitempty"`
	// CreatedAt is when the intent was stored.
	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when the credential expires at the vendor; while issuing, the latest possible time.
	ExpiresAt time.Time `json:"expires_at"`
	// ExpiryNotEnforced is true when the vendor may keep the credential alive after ExpiresAt.
	ExpiryNotEnforced bool `json:"expiry_not_enforced,omitempty"`
	// LeaseExpiresAt is when the lease ends unless it is renewed. If a lease ends without a revocation, Vault has
	// lost it. Each holder of a shared credential has a lease end of its own.
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
	// ShareKey names the role, at one revision, whose readers share the credential. It is empty for an exclusive
	// credential, and for a shared one that gets no more readers.
	ShareKey string `json:"share_key,omitempty"`
	// Shared is what further readers get. It contains the leased secret, and is not kept in the index.
	Shared json.RawMessage `json:"shared,omitempty"`
	// MaxExpiresAt is the last moment to which renewals may move ExpiresAt of a shared credential.
	MaxExpiresAt time.Time `json:"max_expires_at,omitzero"`

	// LatestExpiresAt is the latest time until which a credential with ExpiryNotEnforced can be alive, if the vendor
	// has granted renewals whose answers were lost, and if the application uses it until its lease ends. It is stored
	// before a renewal asks for more. The entry is kept until then if the vendor cannot be asked.
	LatestExpiresAt time.Time `json:"latest_expires_at,omitzero"`
	// Searches counts the searches for the marker that found nothing.
	Searches int `json:"searches,omitempty"`
	// SlotReleased is true when the credential takes no slot any more although its entry is kept: the vendor
	// has reported that it ended, or several searches have found nothing.
	SlotReleased bool `json:"slot_released,omitempty"`
	// Attempts counts failed revocations.
	Attempts int `json:"attempts,omitempty"`
	// FailingSince is when a revocation failed for the first time.
	FailingSince time.Time `json:"failing_since,omitzero"`
	// NextAttemptAt is when the next revocation is due.
	NextAttemptAt time.Time `json:"next_attempt_at,omitzero"`
	// LastError is why the last revocation failed, redacted.
	LastError string `json:"last_error,omitempty"`
	// Requester is who asked for the credential. Each holder of a shared credential has its own.
	Requester Requester `json:"requester,omitzero"`
	// Check is true for a credential that a check of the root credential has created: no lease holds it, and it takes
	// no slot. Its config can be deleted or moved while it lives.
	Check bool `json:"check,omitempty"`
}

// summary returns a copy without secrets, for the index in memory and for lists: the handle can contain the leased
// secret, and the index outlives every request.
func (e *Entry) summary() Entry {
	summary := *e
	summary.Handle = nil
	if e.Shared != nil {
		summary.Shared = json.RawMessage("null")
	}
	return summary
}

// IsShared reports whether several leases may hold the credential. It is revoked when the last one ends.
func (e *Entry) IsShared() bool { return e.Shared != nil }

// OccupiesSlot reports whether the credential counts towards the limits: it may be alive at the vendor at this
// time, and its slot was not released.
func (e *Entry) OccupiesSlot(now time.Time) bool {
	if e.SlotReleased {
		return false
	}
	return e.MayBeAlive(now)
}

// MayBeAlive reports whether the credential may be alive at the vendor at this time, as far as its record tells,
// whatever became of its slot. A credential whose outcome is unknown may also appear later; see StateSearching.
func (e *Entry) MayBeAlive(now time.Time) bool {
	if e.State == StateUnreadable {
		return true
	}
	return now.Before(e.ExpiresAt) || e.ExpiryNotEnforced && e.State != StateIssuing
}
