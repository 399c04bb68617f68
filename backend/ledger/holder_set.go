package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"
)

const (
	// endUnreadable is the end of a lease whose record this version cannot read: it holds the credential until the lease
	// is revoked. endUnread is that of a record that was not read yet.
	endUnreadable = 0
	endUnread     = math.MinInt64

	// maxEndsAsked is how many unread ends a request reads. More are left to the background work.
	maxEndsAsked = 64
)

// holderSet holds in memory the holders of one shared credential. Their IDs are listed once, before the first use. The
// ends of their leases are read only when they are needed: who leaves, and who is the last, does not depend on them.
type holderSet struct {
	entry string

	mu      sync.Mutex
	loaded  bool
	loading chan struct{} // closed when the attempt to list that is running ends
	holders map[string]held
	unread  int
	// earliest is not later than any end that was read.
	earliest int64
	draining bool
}

// held is a holder in memory.
type held struct {
	// end is the end of its lease, or endUnreadable or endUnread.
	end, issuedAt int64
	// requester is nil if it is not known.
	requester *Requester
}

// heldOf returns what memory has of a holder.
func heldOf(holder Holder) held {
	h := held{end: toNano(holder.LeaseExpiresAt), issuedAt: toNano(holder.IssuedAt)}
	if holder.Requester != (Requester{}) {
		h.requester = &holder.Requester
	}
	return h
}

// holder returns the holder with this ID. It has no times and no requester if its record cannot be read.
func (h held) holder(id string) Holder {
	holder := Holder{Version: holderVersion, ID: id, LeaseExpiresAt: fromNano(h.end), IssuedAt: fromNano(h.issuedAt)}
	if h.requester != nil {
		holder.Requester = *h.requester
	}
	return holder
}

// lock lists the holders if that was not done, and locks the set. The caller must unlock it, unless there is an error.
// The list is read without the lock: a caller that waits for it gives up with its context.
func (s *holderSet) lock(ctx context.Context, storage logical.Storage) error {
	for {
		s.mu.Lock()
		if s.loaded {
			return nil
		}
		loading := s.loading
		if loading == nil {
			s.loading = make(chan struct{})
			s.mu.Unlock()
			if err := s.list(ctx, storage); err != nil {
				return err
			}
			continue
		}
		s.mu.Unlock()
		select {
		case <-loading:
		case <-ctx.Done():
			return fmt.Errorf("listing the holders of credential %s: %w", s.entry, ctx.Err())
		}
	}
}

// list reads the IDs of the holders. All changes wait for it, so that it meets none.
func (s *holderSet) list(ctx context.Context, storage logical.Storage) error {
	ids, err := storage.List(ctx, HolderPrefix+s.entry+"/")
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.loading)
	s.loading = nil
	if err != nil {
		return fmt.Errorf("listing the holders of credential %s: %w", s.entry, err)
	}
	s.holders = make(map[string]held, len(ids))
	for _, id := range ids {
		s.holders[id] = held{end: endUnread}
	}
	s.loaded, s.unread, s.earliest = true, len(ids), math.MaxInt64
	return nil
}

// put adds or replaces a holder. It is called with the lock held.
func (s *holderSet) put(id string, holder held) {
	if s.holders[id].end == endUnread {
		s.unread--
	}
	s.holders[id] = holder
	if holder.end != endUnreadable {
		s.earliest = min(s.earliest, holder.end)
	}
}

// take removes a holder. It is called with the lock held.
func (s *holderSet) take(id string) {
	if s.holders[id].end == endUnread {
		s.unread--
	}
	delete(s.holders, id)
}

// readEnds reads the ends of the leases that were not read yet. What it has read stays when it fails.
func (s *holderSet) readEnds(ctx context.Context, storage logical.Storage) error {
	if err := s.lock(ctx, storage); err != nil {
		return err
	}
	var ids []string
	if s.unread > 0 {
		ids = make([]string, 0, s.unread)
		for id, holder := range s.holders {
			if holder.end == endUnread {
				ids = append(ids, id)
			}
		}
	}
	s.mu.Unlock()
	group, reading := errgroup.WithContext(ctx)
	group.SetLimit(loadParallel)
	for _, id := range ids {
		if reading.Err() != nil {
			break
		}
		group.Go(func() error { return s.readEnd(reading, storage, id) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// readEnd reads the end of one lease, unless it is known by then.
func (s *holderSet) readEnd(ctx context.Context, storage logical.Storage, id string) error {
	stored, err := storage.Get(ctx, holderKey(s.entry, id))
	if err != nil {
		return fmt.Errorf("reading a holder of credential %s: %w", s.entry, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holders[id].end != endUnread {
		return nil // it has left, or was renewed
	}
	if stored == nil {
		s.take(id)
		return nil
	}
	var holder Holder
	if err := json.Unmarshal(stored.Value, &holder); err != nil || holder.Version > holderVersion {
		holder = Holder{}
	}
	s.put(id, heldOf(holder))
	return nil
}

func (s *holderSet) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, holds := s.holders[id]
	return holds
}

func (s *holderSet) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(id)
}

// setEnd sets the end of a holder's lease in memory. It reports false when the holder has gone.
func (s *holderSet) setEnd(id string, leaseExpiresAt time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.setEndLocked(id, leaseExpiresAt)
}

// setEndLocked is setEnd with the lock held.
func (s *holderSet) setEndLocked(id string, leaseExpiresAt time.Time) bool {
	holder, holds := s.holders[id]
	if !holds {
		return false
	}
	holder.end = toNano(leaseExpiresAt)
	s.put(id, holder)
	return true
}

// expiredBefore removes the holders whose leases ended before a time, and returns them. It is called with the lock
// held, and costs nothing while there are none.
func (s *holderSet) expiredBefore(endedBefore time.Time) (gone []string) {
	before := toNano(endedBefore)
	if s.earliest >= before {
		return nil
	}
	s.earliest = math.MaxInt64
	for id, holder := range s.holders {
		switch end := holder.end; {
		case end == endUnreadable || end == endUnread:
		case end < before:
			gone = append(gone, id)
		default:
			s.earliest = min(s.earliest, end)
		}
	}
	for _, id := range gone {
		s.take(id)
	}
	return gone
}
