package ledger

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Schedule is when the background work has to look at an entry.
type Schedule struct {
	// At is the earliest time. The zero time is always due.
	At time.Time
	// NotBefore is a time that has certainly passed when the entry was written, or the zero time. If the clock shows an
	// earlier one, it was ahead then, and At proves nothing.
	NotBefore time.Time
}

// schedule sets when a record is due. It is called with the lock held.
func (x *index) schedule(r *record, entry *Entry) {
	due := x.options.Schedule(entry)
	r.dueAt = math.MinInt64
	if !due.At.IsZero() {
		r.dueAt = toNano(due.At)
	}
	if !due.NotBefore.IsZero() {
		x.notBefore = max(x.notBefore, toNano(due.NotBefore))
	}
}

// listed is an entry in a list that is sorted by age.
type listed struct {
	createdAt int64
	id        string
}

// due returns the IDs of the entries that are due, the oldest first. It costs as much as there are. After the clock was
// set back, it returns all.
func (x *index) due() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := toNano(x.now())
	if now < x.notBefore {
		x.reschedule()
		return x.sortedIDs()
	}
	var found []listed
	var visit func(i int)
	visit = func(i int) {
		if i >= len(x.dueHeap.records) || x.dueHeap.records[i].dueAt > now {
			return
		}
		r := x.dueHeap.records[i]
		found = append(found, listed{r.createdAt, r.id})
		visit(2*i + 1)
		visit(2*i + 2)
	}
	visit(0)
	return idsByAge(found)
}

// reschedule finds out again which times of the future the entries were written with.
func (x *index) reschedule() {
	x.notBefore = 0
	for _, r := range x.records {
		entry := r.entry(x.config)
		due := x.options.Schedule(&entry)
		if !due.NotBefore.IsZero() {
			x.notBefore = max(x.notBefore, toNano(due.NotBefore))
		}
	}
}

// sortedIDs returns the IDs of all entries, the oldest first. It is called with the lock held.
func (x *index) sortedIDs() []string {
	all := make([]listed, 0, len(x.records))
	for _, r := range x.records {
		all = append(all, listed{r.createdAt, r.id})
	}
	return idsByAge(all)
}

func idsByAge(entries []listed) []string {
	slices.SortFunc(entries, func(a, b listed) int {
		return cmp.Or(cmp.Compare(a.createdAt, b.createdAt), cmp.Compare(a.id, b.id))
	})
	ids := make([]string, len(entries))
	for i := range entries {
		ids[i] = entries[i].id
	}
	return ids
}

// Due returns the IDs of the entries that the background work has to look at, the oldest first; see Options.Schedule.
func (l *Ledger) Due(ctx context.Context, storage logical.Storage, config string) ([]string, error) {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return nil, err
	}
	return x.due(), nil
}

// IDs returns the IDs of all entries of a config, the oldest first.
func (l *Ledger) IDs(ctx context.Context, storage logical.Storage, config string) ([]string, error) {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sortedIDs(), nil
}

// Peek returns an entry from memory, without its handle, and whether memory has it. No storage access.
func (l *Ledger) Peek(config, id string) (Entry, bool) { return l.index(config).get(id) }
