package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"
)

// Stats are the numbers of a config's entries. They cost the same at any number of entries.
type Stats struct {
	// Total counts all entries, and ByState those in each state that occurs.
	Total   int
	ByState map[State]int
	// Used counts the credentials that may still be alive at the vendor.
	Used int
	// InUse counts the entries that keep the config from being deleted: all but those of checks.
	InUse int
	// Failing counts the credentials whose revocation has failed and is retried, and FailingSince is the first failure.
	Failing      int
	FailingSince time.Time
}

// Stats counts the entries of a config. Errors are those of loading the index.
func (l *Ledger) Stats(ctx context.Context, storage logical.Storage, config string) (Stats, error) {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return Stats{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.advance(x.now())
	stats := Stats{Total: len(x.records), ByState: make(map[State]int), Used: x.occupied, InUse: x.inUse(), Failing: len(x.failing)}
	for number, count := range x.byState {
		if count > 0 {
			stats.ByState[states[number]] = count
		}
	}
	for r := range x.failing {
		since := r.rare.failingSince
		if since == 0 {
			since = r.createdAt // recorded before the engine stored the first failure
		}
		stats.FailingSince = earlier(stats.FailingSince, fromNano(since))
	}
	return stats, nil
}

// InUse counts the entries of a config that keep it from being deleted: all but those of checks.
func (l *Ledger) InUse(ctx context.Context, storage logical.Storage, config string) (int, error) {
	stats, err := l.Stats(ctx, storage, config)
	return stats.InUse, err
}

// IsEmpty reports whether a config certainly has no entries but those of checks. It reports false while that is not known.
// No storage access.
func (l *Ledger) IsEmpty(config string) bool {
	x := l.index(config)
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.isLoaded && x.inUse() == 0
}

// Filter selects entries. Empty fields select all.
type Filter struct {
	// Role is the name of a role.
	Role string
	// State is a state.
	State State
}

// Page returns the entries of a config whose IDs follow after, in the order of their IDs and without their handles: at
// most limit of them. more is true when others follow. Their requesters are read from storage. Errors are those of
// storage and of loading the index.
func (l *Ledger) Page(ctx context.Context, storage logical.Storage, config, after string, limit int, filter Filter) (entries []Entry, more bool, err error) {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return nil, false, err
	}
	entries, more = x.page(after, limit, filter)
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(loadParallel)
	for i := range entries {
		if entries[i].State == StateUnreadable {
			continue
		}
		group.Go(func() error {
			stored, err := get(reading, storage, config, entries[i].ID)
			if err == nil && stored != nil {
				entries[i].Requester = stored.Requester
			}
			return err
		})
	}
	return entries, more, group.Wait()
}

// page is Page without the requesters.
func (x *index) page(after string, limit int, filter Filter) (entries []Entry, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var ids []string
	for id, r := range x.records {
		if id > after && (filter.Role == "" || r.group.role == filter.Role) && (filter.State == "" || states[r.state] == filter.State) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if more = len(ids) > limit; more {
		ids = ids[:limit]
	}
	entries = make([]Entry, 0, len(ids))
	for _, id := range ids {
		entries = append(entries, x.records[id].entry(x.config))
	}
	return entries, more
}

// Shareable returns the live credentials with this share key, without their handles, the newest first. After a start it
// waits only until the shared credentials that have holders are loaded.
func (l *Ledger) Shareable(ctx context.Context, storage logical.Storage, config, shareKey string) ([]Entry, error) {
	x, err := l.sharedLoaded(ctx, storage, config)
	if err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var entries []Entry
	for _, r := range x.byShareKey[shareKey] {
		if states[r.state] == StateLive {
			entries = append(entries, r.entry(x.config))
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		if order := b.CreatedAt.Compare(a.CreatedAt); order != 0 {
			return order
		}
		return strings.Compare(b.ID, a.ID)
	})
	return entries, nil
}
