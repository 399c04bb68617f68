package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// HolderPrefix is where the holders of shared credentials are stored. The mount declares it local, like the entries.
const HolderPrefix = "holder/"

// ErrDraining is returned by Attach for a credential whose last holder has left, and by Extend for a holder that
// has left.
var ErrDraining = errors.New("the credential is being ended")

// holderVersion is the schema version of the stored record. Version 2 added the requester and the time of issue.
const holderVersion = 2

// Holder is one lease on a shared credential. It is stored at holder/<entry>/<id>.
type Holder struct {
	// Version is the schema version.
	Version int `json:"version"`
	// ID is unique in the mount.
	ID string `json:"id"`
	// LeaseExpiresAt is when the holder's lease ends unless it is renewed.
	LeaseExpiresAt time.Time `json:"lease_expires_at"`
	// IssuedAt is when the holder's lease was issued.
	IssuedAt time.Time `json:"issued_at,omitzero"`
	// Requester is who asked for the lease.
	Requester Requester `json:"requester,omitzero"`
}

// Attach adds a holder to a shared credential that the index knows. It fails with [ErrDraining] when the last
// holder has left in the meantime, or when the credential has ended, and with a storage error. In both cases nothing is
// added, and no record of the holder is left. One storage write.
func (l *Ledger) Attach(ctx context.Context, storage logical.Storage, config, entry string, holder Holder) error {
	id := holder.ID
	// A Detach, and the deletion of a sweep, wait until the write has ended.
	defer l.changes.lock(holderKey(entry, id))()
	s := l.index(config).holderSet(entry)
	if err := l.attachInMemory(ctx, storage, s, config, entry, holder); err != nil {
		return err
	}
	err := putHolder(ctx, storage, entry, holder)
	if err == nil && s.has(id) {
		return nil
	}
	if err == nil {
		err = ErrDraining // a sweep, or the credential's end, has taken the holder away
	}
	_ = storage.Delete(context.WithoutCancel(ctx), holderKey(entry, id))
	s.remove(id)
	return err
}

// attachInMemory adds a holder before it is stored: from then on, no other holder is the last one.
func (l *Ledger) attachInMemory(ctx context.Context, storage logical.Storage, s *holderSet, config, entry string, holder Holder) error {
	if err := s.lock(ctx, storage); err != nil {
		return err
	}
	defer s.mu.Unlock()
	// An entry that was removed is unknown, so that its new and empty holder set is detected here.
	if known, ok := l.index(config).get(entry); s.draining || !ok || known.State != StateLive {
		return ErrDraining
	}
	s.put(holder.ID, heldOf(holder))
	return nil
}

// Extend moves the end of a holder's lease to a later time; an earlier one changes nothing. It fails with
// [ErrDraining] when the holder has left or the credential has ended, and leaves no record of the holder then, and with
// [ErrUnreadable] for a record that it must not change. At most one storage write.
func (l *Ledger) Extend(ctx context.Context, storage logical.Storage, config, entry, id string, leaseExpiresAt time.Time) error {
	// A Detach waits until the write has ended. Its own deletion comes after the write, also when the process
	// dies in between: then Vault repeats the revocation.
	defer l.changes.lock(holderKey(entry, id))()
	s := l.index(config).holderSet(entry)
	previous, err := l.extendInMemory(ctx, storage, s, config, entry, id, leaseExpiresAt)
	if err != nil || !leaseExpiresAt.After(previous.LeaseExpiresAt) {
		return err
	}
	extended := previous
	extended.LeaseExpiresAt = leaseExpiresAt
	if err := putHolder(ctx, storage, entry, extended); err != nil {
		s.setEnd(id, previous.LeaseExpiresAt) // so that the next renewal writes
		return err
	}
	if !s.setEnd(id, leaseExpiresAt) {
		return ErrDraining // a sweep has taken the holder away, and deletes its record after this
	}
	return nil
}

// extendInMemory moves the end of a holder's lease in memory, never to an earlier time, and returns the holder before. It
// reads the holder's record if that was not done since the start.
func (l *Ledger) extendInMemory(ctx context.Context, storage logical.Storage, s *holderSet, config, entry, id string, leaseExpiresAt time.Time) (Holder, error) {
	if err := s.lock(ctx, storage); err != nil {
		return Holder{}, err
	}
	defer s.mu.Unlock()
	if s.holders[id].end == endUnread {
		s.mu.Unlock()
		err := s.readEnd(ctx, storage, id)
		s.mu.Lock()
		if err != nil {
			return Holder{}, err
		}
	}
	previous, holds := s.holders[id]
	if !holds || !l.index(config).isLive(entry) {
		return Holder{}, ErrDraining
	}
	if previous.end == endUnreadable {
		return Holder{}, fmt.Errorf("holder %s of credential %s: %w", id, entry, ErrUnreadable)
	}
	if toNano(leaseExpiresAt) > previous.end {
		s.setEndLocked(id, leaseExpiresAt)
	}
	return previous.holder(id), nil
}

// LastLeaseEnd returns when the last of the leases on a shared credential ends; the zero time when it has no
// holders. known is false if the ends of too many leases were not read since the start: the background work reads them.
func (l *Ledger) LastLeaseEnd(ctx context.Context, storage logical.Storage, config, entry string) (last time.Time, known bool, err error) {
	s := l.index(config).holderSet(entry)
	if err := s.lock(ctx, storage); err != nil {
		return time.Time{}, false, err
	}
	unread := s.unread
	s.mu.Unlock()
	if unread > maxEndsAsked {
		return time.Time{}, false, nil
	}
	if err := s.readEnds(ctx, storage); err != nil {
		return time.Time{}, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := int64(0)
	for _, holder := range s.holders {
		latest = max(latest, holder.end)
	}
	return fromNano(latest), true, nil
}

// NoteExpiry records in memory that the vendor has moved the end of a shared credential. Storage keeps the previous
// end, and the ends of the holders' leases, which the credential outlasts. No storage access.
func (l *Ledger) NoteExpiry(config, entry string, expiresAt time.Time) {
	l.index(config).setExpiry(entry, expiresAt)
}

// Detach removes a holder. last is true when the credential has no holder left: then it accepts no more, and the
// caller must revoke it. Detaching twice is harmless, and returns the same.
func (l *Ledger) Detach(ctx context.Context, storage logical.Storage, config, entry, id string) (last bool, err error) {
	defer l.changes.lock(holderKey(entry, id))()
	if err := storage.Delete(ctx, holderKey(entry, id)); err != nil {
		return false, fmt.Errorf("deleting a holder of credential %s: %w", entry, err)
	}
	return l.drainWhenEmpty(ctx, storage, config, entry, func(s *holderSet) { s.take(id) })
}

// DetachAll removes all holders of a credential, which then accepts no more.
func (l *Ledger) DetachAll(ctx context.Context, storage logical.Storage, config, entry string) error {
	_, err := l.detach(ctx, storage, config, entry, func(s *holderSet) []string {
		gone := slices.Collect(maps.Keys(s.holders))
		for _, id := range gone {
			s.take(id)
		}
		return gone
	})
	return err
}

// DetachExpired removes the holders whose leases ended before a time. last is true when the credential has no holder
// left, as for Detach. The first call after a start reads the ends of all leases; it costs nothing later while no lease
// has ended.
func (l *Ledger) DetachExpired(ctx context.Context, storage logical.Storage, config, entry string, endedBefore time.Time) (last bool, err error) {
	if err := l.index(config).holderSet(entry).readEnds(ctx, storage); err != nil {
		return false, err
	}
	return l.detach(ctx, storage, config, entry, func(s *holderSet) []string { return s.expiredBefore(endedBefore) })
}

// detach removes the holders that take has removed in memory.
func (l *Ledger) detach(ctx context.Context, storage logical.Storage, config, entry string, take func(*holderSet) []string) (last bool, err error) {
	var gone []string
	last, err = l.drainWhenEmpty(ctx, storage, config, entry, func(s *holderSet) { gone = take(s) })
	for _, id := range gone {
		if deleteErr := l.deleteHolder(ctx, storage, entry, id); deleteErr != nil && err == nil {
			err = deleteErr
		}
	}
	return last, err
}

// deleteHolder deletes the record of a holder that is no longer in memory. It waits for a renewal that is writing
// the record.
func (l *Ledger) deleteHolder(ctx context.Context, storage logical.Storage, entry, id string) error {
	defer l.changes.lock(holderKey(entry, id))()
	if err := storage.Delete(ctx, holderKey(entry, id)); err != nil {
		return fmt.Errorf("deleting a holder of credential %s: %w", entry, err)
	}
	return nil
}

// HasHolders reports whether a credential has holders, so that more readers may get it. The revocation of a credential
// without holders may already be at the vendor. It was sent by this process, or by a deposed leader that does not know
// yet that it was deposed.
func (l *Ledger) HasHolders(ctx context.Context, storage logical.Storage, config, entry string) (bool, error) {
	s := l.index(config).holderSet(entry)
	if err := s.lock(ctx, storage); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	return !s.draining && len(s.holders) > 0, nil
}

// Holders returns the holders of a shared credential, in the order of their leases' issue. A holder whose record cannot
// be read has no times.
func (l *Ledger) Holders(ctx context.Context, storage logical.Storage, config, entry string) ([]Holder, error) {
	s := l.index(config).holderSet(entry)
	if err := s.readEnds(ctx, storage); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	holders := make([]Holder, 0, len(s.holders))
	for id, holder := range s.holders {
		holders = append(holders, holder.holder(id))
	}
	slices.SortFunc(holders, func(a, b Holder) int {
		return cmp.Or(a.IssuedAt.Compare(b.IssuedAt), cmp.Compare(a.ID, b.ID))
	})
	return holders, nil
}

// drainWhenEmpty calls change, which removes holders. When none is left, the credential accepts no more.
func (l *Ledger) drainWhenEmpty(ctx context.Context, storage logical.Storage, config, entry string, change func(*holderSet)) (bool, error) {
	s := l.index(config).holderSet(entry)
	if err := s.lock(ctx, storage); err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	change(s)
	if len(s.holders) == 0 {
		s.draining = true
	}
	return s.draining, nil
}

func putHolder(ctx context.Context, storage logical.Storage, entry string, holder Holder) error {
	holder.Version = holderVersion
	stored, err := logical.StorageEntryJSON(holderKey(entry, holder.ID), holder)
	if err == nil {
		err = storage.Put(ctx, stored)
	}
	if err != nil {
		return fmt.Errorf("storing a holder of credential %s: %w", entry, err)
	}
	return nil
}

func holderKey(entry, id string) string { return HolderPrefix + entry + "/" + id }
