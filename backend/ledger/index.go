package ledger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// index holds in memory the entries of one config, without secrets. Until it is loaded, it holds only what this
// process has written itself. Removals are remembered until then, so that a load that listed an entry before
// its removal does not add it again.
type index struct {
	config string

	mu      sync.Mutex
	entries map[string]Entry
	loaded  bool
	removed map[string]struct{}
	frozen  string
	// leaving counts the moves away from an origin that are running, and left holds the origins that the config has
	// left. Nothing more is reserved there.
	leaving map[string]int
	left    map[string]struct{}
	freed   chan struct{}
	// holders are the holders of the shared credentials that were used since the index was made.
	holders map[string]*holderSet
}

func newIndex(config string) *index {
	return &index{
		config:  config,
		entries: make(map[string]Entry),
		removed: make(map[string]struct{}),
		leaving: make(map[string]int),
		left:    make(map[string]struct{}),
		freed:   make(chan struct{}),
		holders: make(map[string]*holderSet),
	}
}

func (x *index) slotFreed() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.freed
}

// load reads the entries in storage that are not known yet. Concurrent loads all read; the first one to finish fills the
// index, and the others add nothing. A record that cannot be read is kept as StateUnreadable.
func (x *index) load(ctx context.Context, storage logical.Storage) error {
	x.mu.Lock()
	loaded := x.loaded
	x.mu.Unlock()
	if loaded {
		return nil
	}
	ids, err := storage.List(ctx, StoragePrefix+x.config+"/")
	if err != nil {
		return fmt.Errorf("listing the ledger of config %q: %w", x.config, err)
	}
	stored := make([]Entry, 0, len(ids))
	for _, id := range ids {
		record, err := storage.Get(ctx, key(x.config, id))
		if err != nil {
			return fmt.Errorf("reading ledger entry %s: %w", id, err)
		}
		if record == nil {
			continue
		}
		if entry, err := decode(id, record.Value); err == nil {
			stored = append(stored, entry.summary())
		} else {
			stored = append(stored, unreadable(x.config, id, record.Value, err))
		}
	}

	x.mu.Lock()
	defer x.mu.Unlock()
	if x.loaded {
		return nil
	}
	for _, entry := range stored {
		_, known := x.entries[entry.ID]
		_, gone := x.removed[entry.ID]
		if !known && !gone {
			x.entries[entry.ID] = entry
		}
	}
	x.loaded, x.removed = true, nil
	for id := range x.holders {
		if _, known := x.entries[id]; !known {
			delete(x.holders, id)
		}
	}
	return nil
}

// used counts the entries that occupy a slot.
func (x *index) used(now time.Time) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	used, _ := x.count("", now)
	return used
}

// count counts the entries that occupy a slot: all, and those of a role. It is called with the lock held.
func (x *index) count(role string, now time.Time) (used, byRole int) {
	for _, entry := range x.entries {
		if !entry.OccupiesSlot(now) {
			continue
		}
		used++
		if entry.Role == role {
			byRole++
		}
	}
	return used, byRole
}

// occupying returns the entries that occupy a slot: those of a role, or all if role is empty.
func (x *index) occupying(role string, now time.Time) []Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	var occupying []Entry
	for _, entry := range x.entries {
		if entry.OccupiesSlot(now) && (role == "" || entry.Role == role) {
			occupying = append(occupying, entry)
		}
	}
	return occupying
}

// reserve takes a slot for entry. It fails with ErrFrozen, ErrOriginClosed or a LimitError, whose NextFree is not set.
func (x *index) reserve(entry *Entry, intent Intent, now time.Time) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.frozen != "" && x.frozen == intent.UID {
		return ErrFrozen
	}
	if x.isClosed(entry.Origin) {
		return ErrOriginClosed
	}
	if intent.Limit > 0 || intent.RoleLimit > 0 {
		used, byRole := x.count(intent.Role, now)
		if intent.RoleLimit > 0 && byRole >= intent.RoleLimit {
			return &LimitError{Used: byRole, Limit: intent.RoleLimit, Role: intent.Role}
		}
		if intent.Limit > 0 && used >= intent.Limit {
			return &LimitError{Used: used, Limit: intent.Limit}
		}
	}
	x.entries[entry.ID] = entry.summary()
	return nil
}

// get returns an entry without its secrets, and whether the index knows it. While the index is not loaded, storage may
// contain entries that it does not know.
func (x *index) get(id string) (Entry, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry, known := x.entries[id]
	return entry, known
}

// holderSet returns the holders of a credential. What is in memory about a credential that has gone is not kept, so
// that it does not grow with requests for old leases.
func (x *index) holderSet(id string) *holderSet {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s, ok := x.holders[id]; ok {
		return s
	}
	s := &holderSet{}
	if !x.isGone(id) {
		x.holders[id] = s
	}
	return s
}

// isGone reports whether an entry certainly does not exist. It is called with the lock held.
func (x *index) isGone(id string) bool {
	if _, known := x.entries[id]; known {
		return false
	}
	_, removed := x.removed[id]
	return x.loaded || removed
}

// isLive reports whether a credential is live, as far as memory tells: before the index is loaded, it may not know it.
func (x *index) isLive(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry, known := x.entries[id]
	return known && entry.State == StateLive || !known && !x.isGone(id)
}

// dropHolders makes the next caller read the holders of a credential from storage.
func (x *index) dropHolders(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.holders, id)
}

func (x *index) set(entry *Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	released := entry.SlotReleased && !x.entries[entry.ID].SlotReleased
	x.entries[entry.ID] = entry.summary()
	if !x.loaded {
		delete(x.removed, entry.ID)
	}
	if released {
		x.signalFreed()
	}
}

// setExpiry changes the vendor's end of a known entry, in memory only.
func (x *index) setExpiry(id string, expiresAt time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if entry, known := x.entries[id]; known {
		entry.ExpiresAt = expiresAt
		x.entries[id] = entry
	}
}

func (x *index) remove(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.entries, id)
	delete(x.holders, id)
	if !x.loaded {
		x.removed[id] = struct{}{}
	}
	x.signalFreed()
}

// signalFreed wakes the callers that wait for a slot. It is called with the lock held.
func (x *index) signalFreed() {
	close(x.freed)
	x.freed = make(chan struct{})
}

func (x *index) list() []Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	entries := make([]Entry, 0, len(x.entries))
	for _, entry := range x.entries {
		entries = append(entries, entry)
	}
	sortByAge(entries)
	return entries
}

func (x *index) freeze(uid string, except []string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var inUse InUseError
	for id, entry := range x.entries {
		if !entry.Check && !slices.Contains(except, id) {
			inUse.add(&entry)
		}
	}
	if err := inUse.err(); err != nil {
		return err
	}
	x.frozen = uid
	return nil
}

// inUse counts the entries but those of checks.
func (x *index) inUse() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.inUseLocked()
}

// inUseLocked is inUse with the lock held.
func (x *index) inUseLocked() (used int) {
	for _, entry := range x.entries {
		if !entry.Check {
			used++
		}
	}
	return used
}

func (x *index) unfreeze() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.frozen = ""
}
