package ledger

import (
	"container/heap"
	"time"
)

// Counting the entries that occupy a slot costs the same at any number of entries: a counter, and two heaps by expiry.
// expiring has the counted entries whose slot their expiry frees, the earliest first. expired has the entries that the
// clock has passed, the latest first: they are counted again if the clock is set back.

// recordHeap is a heap of records that knows the place of each.
type recordHeap struct {
	records []*record
	less    func(a, b *record) bool
	place   func(*record) *int32
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (h *recordHeap) Len() int           { return len(h.records) }
func (h *recordHeap) Less(i, j int) bool { return h.less(h.records[i], h.records[j]) }
func (h *recordHeap) Swap(i, j int) {
	h.records[i], h.records[j] = h.records[j], h.records[i]
	h.setPlace(i)
	h.setPlace(j)
}

func (h *recordHeap) setPlace(i int) { *h.place(h.records[i]) = int32(i) } //nolint:gosec // far fewer entries fit into memory

// Push appends a record.
func (h *recordHeap) Push(x any) {
	h.records = append(h.records, x.(*record))
	h.setPlace(len(h.records) - 1)
}

// Pop removes the last record.
func (h *recordHeap) Pop() any {
	last := len(h.records) - 1
	r := h.records[last]
	h.records[last] = nil
	h.records = h.records[:last]
	return r
}

func (h *recordHeap) remove(r *record) { heap.Remove(h, int(*h.place(r))) }

func slotPlace(r *record) *int32 { return &r.slotPosition }
func duePlace(r *record) *int32  { return &r.duePosition }

// count adds a record to the counters. It is called with the lock held.
func (x *index) count(r *record) {
	x.byState[r.state]++
	if r.has(flagCheck) {
		x.checks++
	}
	if r.rare != nil && r.rare.attempts > 0 {
		x.failing[r] = struct{}{}
	}
	switch unreadable := states[r.state] == StateUnreadable; {
	case r.has(flagSlotReleased) && !unreadable:
	case unreadable, r.has(flagExpiryNotEnforced) && states[r.state] != StateIssuing:
		x.occupy(r)
	default:
		r.setFlag(flagTimed, true)
		x.occupy(r) // advance takes the slot back if the expiry has passed
		heap.Push(&x.expiring, r)
	}
}

// uncount removes a record from the counters. It is called with the lock held.
func (x *index) uncount(r *record) {
	x.byState[r.state]--
	if r.has(flagCheck) {
		x.checks--
	}
	delete(x.failing, r)
	if r.has(flagTimed) {
		if r.has(flagCounted) {
			x.expiring.remove(r)
		} else {
			x.expired.remove(r)
		}
		r.setFlag(flagTimed, false)
	}
	if r.has(flagCounted) {
		x.vacate(r)
	}
}

func (x *index) occupy(r *record) {
	r.setFlag(flagCounted, true)
	x.occupied++
	r.group.byRole.hold(r)
}

func (x *index) vacate(r *record) {
	r.setFlag(flagCounted, false)
	x.occupied--
	r.group.byRole.release(r)
}

// advance moves the counters to a time. It is called with the lock held.
func (x *index) advance(now time.Time) {
	nano := toNano(now)
	for len(x.expiring.records) > 0 && x.expiring.records[0].expiresAt <= nano {
		r := heap.Pop(&x.expiring).(*record)
		x.vacate(r)
		heap.Push(&x.expired, r)
	}
	for len(x.expired.records) > 0 && x.expired.records[0].expiresAt > nano {
		r := heap.Pop(&x.expired).(*record)
		x.occupy(r)
		heap.Push(&x.expiring, r)
	}
}

// usedBy returns how many entries of a role occupy a slot. It is called with the lock held, after advance.
func (x *index) usedBy(role string) int {
	if slots := x.roles[role]; slots != nil {
		return slots.used
	}
	return 0
}

// admit reports whether a credential may be issued: nil, ErrFrozen, ErrOriginClosed, or a LimitError whose NextFree is
// not set. It is called with the lock held, after advance.
func (x *index) admit(intent *Intent) error {
	switch {
	case x.frozen != "" && x.frozen == intent.UID:
		return ErrFrozen
	case x.isClosed(intent.Origin):
		return ErrOriginClosed
	}
	if used := x.usedBy(intent.Role); intent.RoleLimit > 0 && used >= intent.RoleLimit {
		return &LimitError{Used: used, Limit: intent.RoleLimit, Role: intent.Role}
	}
	if intent.Limit > 0 && x.occupied >= intent.Limit {
		return &LimitError{Used: x.occupied, Limit: intent.Limit}
	}
	return nil
}

// reserve takes a slot for entry, after those that wait for one. It fails as admit does.
func (x *index) reserve(entry *Entry, intent *Intent) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dispatch()
	if err := x.admit(intent); err != nil {
		return err
	}
	x.keep(entry)
	return nil
}

// used counts the entries that occupy a slot.
func (x *index) used() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.advance(x.now())
	return x.occupied
}
