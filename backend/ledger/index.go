package ledger

import (
	"container/heap"
	"slices"
	"sync"
	"time"
)

// index holds in memory the entries of one config, without secrets. Until it is loaded, it holds only what this process
// has written itself and what was read so far. Removals are remembered until then, so that a load that listed an entry
// before its removal does not add it again.
type index struct {
	config  string
	options *Options

	mu      sync.Mutex
	records map[string]*record
	groups  map[groupKey]*group
	roles   map[string]*roleSlots
	// byShareKey are the credentials that readers may share.
	byShareKey map[string][]*record

	// occupied counts the entries that occupy a slot, checks those of checks, and byState all by their state's number.
	// failing holds those whose revocation has failed.
	occupied, checks  int
	failing           map[*record]struct{}
	byState           [len(states)]int
	expiring, expired recordHeap
	// dueHeap orders the entries by the time when the background work looks at them. notBefore is the latest
	// Schedule.NotBefore of them.
	dueHeap   recordHeap
	notBefore int64
	// nextFree remembers when a slot is expected to be free, by role.
	nextFree map[string]expectedSlot
	waiters  []*Waiter

	// isListed is true when total and pending are known: the IDs that a load has to read. The first of all IDs are
	// those of shared credentials.
	isLoaded, isListed, isDropped bool
	loading                       *loading
	loadStarted                   time.Time
	pending                       []string
	total, first                  int
	removed                       map[string]struct{}

	frozen string
	// leaving counts the moves away from an origin that are running, and left holds the origins that the config has
	// left. Nothing more is reserved there.
	leaving map[string]int
	left    map[string]struct{}
	// holders are the holders of the shared credentials that were used since the index was made.
	holders map[string]*holderSet
}

func newIndex(config string, options *Options) *index {
	return &index{
		config:     config,
		options:    options,
		records:    make(map[string]*record),
		groups:     make(map[groupKey]*group),
		roles:      make(map[string]*roleSlots),
		byShareKey: make(map[string][]*record),
		nextFree:   make(map[string]expectedSlot),
		failing:    make(map[*record]struct{}),
		expiring:   recordHeap{less: func(a, b *record) bool { return a.expiresAt < b.expiresAt }, place: slotPlace},
		expired:    recordHeap{less: func(a, b *record) bool { return a.expiresAt > b.expiresAt }, place: slotPlace},
		dueHeap:    recordHeap{less: func(a, b *record) bool { return a.dueAt < b.dueAt }, place: duePlace},
		removed:    make(map[string]struct{}),
		leaving:    make(map[string]int),
		left:       make(map[string]struct{}),
		holders:    make(map[string]*holderSet),
	}
}

func (x *index) now() time.Time { return x.options.Now() }

// keep adds or replaces an entry. It is called with the lock held.
func (x *index) keep(entry *Entry) {
	r, known := x.records[entry.ID]
	if known {
		x.uncount(r)
	} else {
		r = &record{id: entry.ID}
		x.records[entry.ID] = r
	}
	key := groupKeyOf(entry)
	x.join(r, key)
	r.pack(entry, key.markerPrefix)
	x.count(r)
	x.schedule(r, entry)
	if known {
		heap.Fix(&x.dueHeap, int(r.duePosition))
	} else {
		heap.Push(&x.dueHeap, r)
	}
}

// forget removes an entry, and gives its slot to the next request that waits. It is called with the lock held.
func (x *index) forget(id string) {
	if r, known := x.records[id]; known {
		x.uncount(r)
		x.dueHeap.remove(r)
		x.leave(r)
		delete(x.records, id)
	}
	delete(x.holders, id)
	if !x.isLoaded {
		x.removed[id] = struct{}{}
	}
	x.dispatch()
}

// get returns an entry without its secrets, and whether the index knows it. While the index is not loaded, storage may
// contain entries that it does not know.
func (x *index) get(id string) (Entry, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, known := x.records[id]
	if !known {
		return Entry{}, false
	}
	return r.entry(x.config), true
}

// holderSet returns the holders of a credential. What is in memory about a credential that has gone is not kept, so
// that it does not grow with requests for old leases.
func (x *index) holderSet(id string) *holderSet {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s, ok := x.holders[id]; ok {
		return s
	}
	s := &holderSet{entry: id}
	if !x.isGone(id) {
		x.holders[id] = s
	}
	return s
}

// isGone reports whether an entry certainly does not exist. It is called with the lock held.
func (x *index) isGone(id string) bool {
	if _, known := x.records[id]; known {
		return false
	}
	_, removed := x.removed[id]
	return x.isLoaded || removed
}

// isLive reports whether a credential is live, as far as memory tells: before the index is loaded, it may not know it.
func (x *index) isLive(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r, known := x.records[id]; known {
		return states[r.state] == StateLive
	}
	return !x.isGone(id)
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
	x.keep(entry)
	if !x.isLoaded {
		delete(x.removed, entry.ID)
	}
	x.dispatch()
}

// setExpiry changes the vendor's end of a known entry, in memory only.
func (x *index) setExpiry(id string, expiresAt time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if r, known := x.records[id]; known {
		entry := r.entry(x.config)
		entry.ExpiresAt = expiresAt
		x.keep(&entry)
	}
}

func (x *index) remove(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(id)
}

// list returns all entries, the oldest first.
func (x *index) list() []Entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	entries := make([]Entry, 0, len(x.records))
	for _, id := range x.sortedIDs() {
		entries = append(entries, x.records[id].entry(x.config))
	}
	return entries
}

func (x *index) freeze(uid string, except []string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	inUse := InUseError{Used: x.inUse(), Searched: x.byState[stateNumber(StateSearching)]}
	for i, id := range except {
		if slices.Contains(except[:i], id) {
			continue
		}
		if r, known := x.records[id]; known && !r.has(flagCheck) {
			inUse.Used--
			if states[r.state] == StateSearching {
				inUse.Searched--
			}
		}
	}
	if err := inUse.err(); err != nil {
		return err
	}
	x.frozen = uid
	x.dispatch()
	return nil
}

// inUse counts the entries but those of checks. It is called with the lock held.
func (x *index) inUse() int { return len(x.records) - x.checks }

func (x *index) unfreeze() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.frozen = ""
}
