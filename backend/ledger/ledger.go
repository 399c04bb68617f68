// Package ledger records every vendor credential of a mount. The entry is stored before the credential exists,
// and deleted when the vendor has confirmed that it no longer exists. The package knows Vault's storage and no
// vendor.
//
// Storage is authoritative. An index in memory, without secrets, counts entries without reading storage. It is
// loaded once for each config, in the background, and dropped when another node has written. A request that needs the
// number of credentials waits for the load; the others do not.
package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// StoragePrefix is where entries are stored. The mount declares it local: each cluster records the credentials
// that it has leased itself.
const StoragePrefix = "ledger/"

// ErrChanged is returned by Update for an entry that was removed or changed since it was read.
var ErrChanged = errors.New("the credential's ledger entry was changed by another request")

// ErrFrozen is returned by Reserve for a config that is being deleted.
var ErrFrozen = errors.New("the config is being deleted")

// ErrOriginClosed is returned by Reserve for a credential that would be issued at an address that the config is
// leaving or has left.
var ErrOriginClosed = errors.New("the config is being moved to another address")

// ErrUnreadable is returned for a record that a later version of the plugin has written, or that is damaged. The
// record is not changed.
var ErrUnreadable = errors.New("this version of the plugin cannot read the record")

// InUseError is returned by Freeze and CloseOrigin for a config that still has credentials.
type InUseError struct {
	// Used counts the credentials. Searched counts those of them whose outcome is unknown and whose marker is searched.
	Used, Searched int
}

// Error names the counts.
func (e *InUseError) Error() string {
	text := fmt.Sprintf("credentials still live: %d", e.Used)
	if e.Searched > 0 {
		text += fmt.Sprintf(" (the answers to the issues of %d of them were lost, and their markers are searched)", e.Searched)
	}
	return text
}

// add counts an entry.
func (e *InUseError) add(entry *Entry) {
	e.Used++
	if entry.State == StateSearching {
		e.Searched++
	}
}

// err returns nil if nothing was counted.
func (e *InUseError) err() error {
	if e.Used == 0 {
		return nil
	}
	return e
}

// Ledger holds the entries of one mount. It is safe for concurrent use. During a storage call it holds only the
// lock of the entry or of the holders that the call concerns.
type Ledger struct {
	options Options
	changes keyedMutex

	mu      sync.Mutex
	configs map[string]*index
}

// Options are what a ledger needs of the engine.
type Options struct {
	// Now returns the time.
	Now func() time.Time
	// Lifetime ends with the mount. Loads run on it. Nil is a mount that does not end.
	Lifetime context.Context //nolint:containedctx // it belongs to the mount, not to a request
	// Schedule returns when the background work has to look at an entry, as it is now. It is called with locks held and
	// must not call the ledger. Nil makes all entries due.
	Schedule func(*Entry) Schedule
}

// New returns an empty ledger.
func New(options Options) *Ledger {
	if options.Lifetime == nil {
		options.Lifetime = context.Background()
	}
	if options.Schedule == nil {
		options.Schedule = func(*Entry) Schedule { return Schedule{} }
	}
	return &Ledger{options: options, configs: make(map[string]*index)}
}

// Intent is what is known before the vendor is called.
type Intent struct {
	// ID and Marker are those of the [Entry].
	ID, Marker string
	// Config and Role are names.
	Config, Role string
	// Origin is that of the [Entry].
	Origin string
	// UID distinguishes the config from a later one of the same name.
	UID string
	// ExpiresAt is the latest time at which the credential can expire at the vendor.
	ExpiresAt time.Time
	// LeaseExpiresAt is when the credential's lease ends unless it is renewed.
	LeaseExpiresAt time.Time
	// ShareKey, Requester and Check are those of the [Entry].
	ShareKey  string
	Requester Requester
	Check     bool
	// Limit is how many live credentials the config may have, and RoleLimit how many of them its role may have.
	// Zero means no limit.
	Limit, RoleLimit int
}

// Reserve stores the intent and takes its slot. It fails with [*LimitError] when the config has Limit live
// credentials or the role RoleLimit of them, with [*LoadingError] when these cannot be counted yet, with [ErrFrozen]
// when the config is being deleted, with [ErrOriginClosed] when it is being moved, and with a storage error, in each
// case with nothing reserved. One storage write.
func (l *Ledger) Reserve(ctx context.Context, storage logical.Storage, intent Intent) (*Entry, error) {
	x := l.index(intent.Config)
	if intent.Limit > 0 || intent.RoleLimit > 0 {
		var err error
		if x, err = l.loaded(ctx, storage, intent.Config); err != nil {
			return nil, err
		}
	}
	entry := newEntry(&intent, l.options.Now())
	if err := x.reserve(entry, &intent); err != nil {
		return nil, l.explain(ctx, storage, x, err)
	}
	return l.storeIntent(ctx, storage, x, entry)
}

// newEntry returns the entry of an intent.
func newEntry(intent *Intent, now time.Time) *Entry {
	return &Entry{
		Version:        entryVersion,
		ID:             intent.ID,
		Config:         intent.Config,
		Role:           intent.Role,
		Origin:         intent.Origin,
		Marker:         intent.Marker,
		State:          StateIssuing,
		CreatedAt:      now,
		ExpiresAt:      intent.ExpiresAt,
		LeaseExpiresAt: intent.LeaseExpiresAt,
		ShareKey:       intent.ShareKey,
		Requester:      intent.Requester,
		Check:          intent.Check,
		SlotReleased:   intent.Check,
	}
}

// storeIntent stores an entry that has its slot. If that fails, it gives the slot back.
func (l *Ledger) storeIntent(ctx context.Context, storage logical.Storage, x *index, entry *Entry) (*Entry, error) {
	if err := l.put(ctx, storage, entry); err != nil {
		// The write may have taken effect although it reported a failure, so the record is deleted before the
		// slot is released. If the deletion fails too, an intent without a credential remains: the sweep finds
		// nothing under its marker and deletes it.
		_ = storage.Delete(context.WithoutCancel(ctx), key(entry.Config, entry.ID))
		x.remove(entry.ID)
		return nil, fmt.Errorf("storing the intent: %w", err)
	}
	return entry, nil
}

// Update stores a changed entry: of a credential that has become live, whose lease was renewed, or that must be
// revoked. It fails with [ErrChanged], and stores nothing, when the entry was removed or changed since it was
// read. One storage write, and a read if memory has another revision of the entry or none.
func (l *Ledger) Update(ctx context.Context, storage logical.Storage, entry *Entry) error {
	defer l.changes.lock(entry.ID)()
	idx := l.index(entry.Config)
	current, known := idx.get(entry.ID)
	if !known || current.Revision != entry.Revision {
		// Storage decides. A write that happened although it reported a failure is not in the index.
		stored, err := get(ctx, storage, entry.Config, entry.ID)
		if err != nil {
			return err
		}
		if stored == nil {
			return ErrChanged
		}
		current = *stored
	}
	if current.Revision != entry.Revision {
		return ErrChanged
	}
	changed := *entry
	changed.Revision++
	if err := l.put(ctx, storage, &changed); err != nil {
		return fmt.Errorf("storing ledger entry %s: %w", entry.ID, err)
	}
	entry.Revision = changed.Revision
	idx.set(entry)
	return nil
}

// Get reads an entry from storage, with its handle. It returns nil without error when there is none.
func (l *Ledger) Get(ctx context.Context, storage logical.Storage, config, id string) (*Entry, error) {
	return get(ctx, storage, config, id)
}

// Remove deletes an entry. The caller must know that the credential has ended: the vendor has confirmed that it
// is gone or was never created, or its expiry has passed. Removing an entry that does not exist succeeds.
func (l *Ledger) Remove(ctx context.Context, storage logical.Storage, config, id string) error {
	defer l.changes.lock(id)()
	if err := storage.Delete(ctx, key(config, id)); err != nil {
		return fmt.Errorf("deleting ledger entry %s: %w", id, err)
	}
	l.index(config).remove(id)
	return nil
}

// List returns the entries of a config without their handles, oldest first. It costs as much as there are: a caller
// that needs their number asks for [Ledger.Stats].
func (l *Ledger) List(ctx context.Context, storage logical.Storage, config string) ([]Entry, error) {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return nil, err
	}
	return x.list(), nil
}

// Used counts the credentials of a config that may still be alive at the vendor.
func (l *Ledger) Used(ctx context.Context, storage logical.Storage, config string) (int, error) {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return 0, err
	}
	return x.used(), nil
}

// Configs lists the names of the configs that have entries in storage, including configs that no longer exist.
func (l *Ledger) Configs(ctx context.Context, storage logical.Storage) ([]string, error) {
	keys, err := storage.List(ctx, StoragePrefix)
	if err != nil {
		return nil, fmt.Errorf("listing the ledger: %w", err)
	}
	names := make([]string, 0, len(keys))
	for _, name := range keys {
		names = append(names, strings.TrimSuffix(name, "/"))
	}
	return names, nil
}

// Freeze refuses every later Reserve for the config with this UID, so that it can be deleted. It fails with
// [*InUseError], and freezes nothing, while the config has other entries than those with the given IDs and those of checks.
func (l *Ledger) Freeze(ctx context.Context, storage logical.Storage, config, uid string, except ...string) error {
	x, err := l.loaded(ctx, storage, config)
	if err != nil {
		return err
	}
	return x.freeze(uid, except)
}

// Unfreeze reverts Freeze after a deletion that failed.
func (l *Ledger) Unfreeze(config string) { l.index(config).unfreeze() }

// Invalidate drops what is in memory about the stored key. It reports whether the key belongs to the ledger.
func (l *Ledger) Invalidate(storageKey string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rest, ours := strings.CutPrefix(storageKey, StoragePrefix); ours {
		config, _, _ := strings.Cut(rest, "/")
		if x := l.configs[config]; x != nil {
			x.drop()
			delete(l.configs, config)
		}
		return true
	}
	if rest, ours := strings.CutPrefix(storageKey, HolderPrefix); ours {
		entry, _, _ := strings.Cut(rest, "/")
		for _, idx := range l.configs { // the key does not name the config
			idx.dropHolders(entry)
		}
		return true
	}
	return false
}

func (l *Ledger) index(config string) *index {
	l.mu.Lock()
	defer l.mu.Unlock()
	idx, ok := l.configs[config]
	if !ok {
		idx = newIndex(config, &l.options)
		l.configs[config] = idx
	}
	return idx
}

func (l *Ledger) put(ctx context.Context, storage logical.Storage, entry *Entry) error {
	stored, err := logical.StorageEntryJSON(key(entry.Config, entry.ID), entry)
	if err != nil {
		return err
	}
	return storage.Put(ctx, stored)
}

func get(ctx context.Context, storage logical.Storage, config, id string) (*Entry, error) {
	stored, err := storage.Get(ctx, key(config, id))
	if err != nil {
		return nil, fmt.Errorf("reading ledger entry %s: %w", id, err)
	}
	if stored == nil {
		return nil, nil
	}
	return decode(id, stored.Value)
}

// decode decodes a stored record. It fails with ErrUnreadable.
func decode(id string, stored []byte) (*Entry, error) {
	var entry Entry
	if err := json.Unmarshal(stored, &entry); err != nil {
		return nil, fmt.Errorf("decoding ledger entry %s: %w", id, ErrUnreadable) // the cause can quote a secret
	}
	if entry.Version > entryVersion {
		return nil, fmt.Errorf("ledger entry %s was written by a later version of the plugin (schema %d, this one knows %d): %w",
			id, entry.Version, entryVersion, ErrUnreadable)
	}
	return &entry, nil
}

// unreadable is what the index keeps of a record that decode refuses: what helps an operator to find the credential.
func unreadable(config, id string, stored []byte, cause error) Entry {
	var known struct {
		Role      string    `json:"role"`
		Marker    string    `json:"marker"`
		CreatedAt time.Time `json:"created_at"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	_ = json.Unmarshal(stored, &known) // as much as can be read
	return Entry{
		ID: id, Config: config, Role: known.Role, Marker: known.Marker, State: StateUnreadable,
		CreatedAt: known.CreatedAt, ExpiresAt: known.ExpiresAt, LastError: cause.Error(),
	}
}

func key(config, id string) string { return StoragePrefix + config + "/" + id }
