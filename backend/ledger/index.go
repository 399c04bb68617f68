package ledger

import (
	"context"
	"fmt"
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
	// closed are the origins at which nothing more is reserved.
	closed map[string]struct{}
	freed  chan struct{}
}

func newIndex(config string) *index {
	return &index{
		config:  config,
		entries: make(map[string]Entry),
		removed: make(map[string]struct{}),
		closed:  make(map[string]struct{}),
		freed:   make(chan struct{}),
	}
}

func (x *index) slotFreed() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.freed
}

// load reads the entries in storage that are not known yet. Concurrent loads all read; the first one to finish fills the
// index, and the others add nothing.
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
		entry, err := get(ctx, storage, x.config, id)
		if err != nil {
			return err
		}
		if entry != nil {
			stored = append(stored, entry.summary())
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
	if _, closed := x.closed[entry.Origin]; closed {
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

func (x *index) freeze(uid string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.entries) > 0 {
		return &InUseError{Used: len(x.entries)}
	}
	x.frozen = uid
	return nil
}

func (x *index) unfreeze() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.frozen = ""
}
