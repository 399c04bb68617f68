package ledger

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
)

// record is an entry in the index, without its secrets and without its requester. Mounts have many entries, so a record is small: times are
// nanoseconds since 1970, and the text that entries have in common is stored once, in their group.
type record struct {
	id    string
	group *group
	// rare is nil for an entry that has none of its fields.
	rare *rareFields

	createdAt, expiresAt, leaseExpiresAt, latestExpiresAt int64
	// dueAt is the key in the heap of due times.
	dueAt int64

	revision int32
	// slotPosition, freePosition and duePosition are the places in the heaps.
	slotPosition, freePosition, duePosition int32
	version                                 uint8
	state                                   uint8
	flags                                   uint8
}

// The flags of a record.
const (
	flagExpiryNotEnforced = 1 << iota
	flagSlotReleased
	flagShared
	// flagCounted: the entry is counted among those that occupy a slot.
	flagCounted
	// flagTimed: the entry is in a heap by expiry, because its expiry frees its slot.
	flagTimed
	// flagCheck: a check of the root credential has created the credential.
	flagCheck
)

func (r *record) has(flag uint8) bool { return r.flags&flag != 0 }

func (r *record) setFlag(flag uint8, on bool) {
	r.flags &^= flag
	if on {
		r.flags |= flag
	}
}

// rareFields are the fields that most entries do not have.
type rareFields struct {
	marker                    string // if it is not the group's prefix and the ID
	failingSince              int64
	maxExpiresAt, nextAttempt int64
	searches, attempts        int
	lastError                 string
}

// groupKey is the text that many entries have in common.
type groupKey struct{ role, origin, shareKey, markerPrefix string }

// group is the common text of some entries.
type group struct {
	groupKey
	members int
	byRole  *roleSlots
}

// states are the states by their number in a record.
var states = [...]State{StateIssuing, StateLive, StateRevoking, StateSearching, StateExpiring, StateUnreadable}

// States returns all states.
func States() []State { return slices.Clone(states[:]) }

// stateNumber returns the number of a state. A state that this version does not know is not lost: its record is
// unreadable.
func stateNumber(state State) uint8 {
	for number, known := range states {
		if known == state {
			return uint8(number)
		}
	}
	return uint8(len(states) - 1)
}

// toNano converts a time. The zero time is 0, and times that do not fit are the first or the last that do.
func toNano(t time.Time) int64 {
	switch year := t.Year(); {
	case t.IsZero():
		return 0
	case year < 1678:
		return math.MinInt64
	case year > 2261:
		return math.MaxInt64
	}
	return t.UnixNano()
}

// fromNano is the reverse of toNano.
func fromNano(nano int64) time.Time {
	if nano == 0 {
		return time.Time{}
	}
	return time.Unix(0, nano).UTC()
}

// pack fills a record from an entry, except its group and its places in the heaps.
func (r *record) pack(entry *Entry, markerPrefix string) {
	r.createdAt, r.expiresAt = toNano(entry.CreatedAt), toNano(entry.ExpiresAt)
	r.leaseExpiresAt, r.latestExpiresAt = toNano(entry.LeaseExpiresAt), toNano(entry.LatestExpiresAt)
	r.revision = int32(min(entry.Revision, math.MaxInt32)) //nolint:gosec // bounded
	r.version = uint8(min(max(entry.Version, 0), math.MaxUint8))
	r.state = stateNumber(entry.State)
	r.setFlag(flagExpiryNotEnforced, entry.ExpiryNotEnforced)
	r.setFlag(flagSlotReleased, entry.SlotReleased)
	r.setFlag(flagShared, entry.IsShared())
	r.setFlag(flagCheck, entry.Check)
	rare := rareFields{
		maxExpiresAt: toNano(entry.MaxExpiresAt), nextAttempt: toNano(entry.NextAttemptAt), failingSince: toNano(entry.FailingSince),
		searches: entry.Searches, attempts: entry.Attempts, lastError: entry.LastError,
	}
	if markerPrefix == "" {
		rare.marker = entry.Marker
	}
	switch {
	case rare == rareFields{}:
		r.rare = nil
	case r.rare == nil:
		r.rare = &rare
	default:
		*r.rare = rare
	}
}

// entry returns the entry of a record, without its handle and its requester. Of a shared credential it has only that it is shared.
func (r *record) entry(config string) Entry {
	entry := Entry{
		Version: int(r.version), ID: r.id, Revision: int(r.revision), Origin: r.group.origin, Config: config, Role: r.group.role,
		State: states[r.state], CreatedAt: fromNano(r.createdAt), ExpiresAt: fromNano(r.expiresAt),
		ExpiryNotEnforced: r.has(flagExpiryNotEnforced), LeaseExpiresAt: fromNano(r.leaseExpiresAt), ShareKey: r.group.shareKey,
		LatestExpiresAt: fromNano(r.latestExpiresAt), SlotReleased: r.has(flagSlotReleased), Check: r.has(flagCheck),
	}
	if r.has(flagShared) {
		entry.Shared = json.RawMessage("null")
	}
	if r.group.markerPrefix != "" {
		entry.Marker = r.group.markerPrefix + r.id
	}
	if r.rare != nil {
		if r.rare.marker != "" {
			entry.Marker = r.rare.marker
		}
		entry.FailingSince = fromNano(r.rare.failingSince)
		entry.MaxExpiresAt, entry.NextAttemptAt = fromNano(r.rare.maxExpiresAt), fromNano(r.rare.nextAttempt)
		entry.Searches, entry.Attempts, entry.LastError = r.rare.searches, r.rare.attempts, r.rare.lastError
	}
	return entry
}

// groupKeyOf returns what an entry has in common with others. markerPrefix is empty for a marker that does not end
// with the ID.
func groupKeyOf(entry *Entry) groupKey {
	prefix, ends := strings.CutSuffix(entry.Marker, entry.ID)
	if !ends {
		prefix = ""
	}
	return groupKey{role: entry.Role, origin: entry.Origin, shareKey: entry.ShareKey, markerPrefix: prefix}
}

// join makes a record a member of the group with this key. It is called with the lock held.
func (x *index) join(r *record, key groupKey) {
	if r.group != nil && r.group.groupKey == key {
		return
	}
	x.leave(r)
	g := x.groups[key]
	if g == nil {
		key = groupKey{strings.Clone(key.role), strings.Clone(key.origin), strings.Clone(key.shareKey), strings.Clone(key.markerPrefix)}
		role := x.roles[key.role]
		if role == nil {
			role = newRoleSlots()
			x.roles[key.role] = role
		}
		role.members++
		g = &group{groupKey: key, byRole: role}
		x.groups[key] = g
	}
	g.members++
	r.group = g
	if key.shareKey != "" {
		x.byShareKey[key.shareKey] = append(x.byShareKey[key.shareKey], r)
	}
}

// leave removes a record from its group. It is called with the lock held.
func (x *index) leave(r *record) {
	g := r.group
	if g == nil {
		return
	}
	r.group = nil
	if g.shareKey != "" {
		x.unlist(g.shareKey, r)
	}
	if g.members--; g.members > 0 {
		return
	}
	delete(x.groups, g.groupKey)
	if g.byRole.members--; g.byRole.members == 0 {
		delete(x.roles, g.role)
	}
}

// unlist removes a record from those with its share key.
func (x *index) unlist(shareKey string, r *record) {
	records := x.byShareKey[shareKey]
	for i := range records {
		if records[i] == r {
			records = append(records[:i], records[i+1:]...)
			break
		}
	}
	if len(records) == 0 {
		delete(x.byShareKey, shareKey)
		return
	}
	x.byShareKey[shareKey] = records
}
