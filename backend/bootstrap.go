package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// bootstrapPrefix is where the intents of root credentials that are being made are stored, by config.
const bootstrapPrefix = "bootstrap/"

// rootIntentsEntry holds the markers of root credentials that may exist at the vendor without being stored
// here: of attempts whose process died or whose answer was lost. A login that made them is not kept, so
// they wait until there is a config of that name, whose root credential can end them.
type rootIntentsEntry struct {
	Attempts []rootIntent `json:"attempts"`
}

// rootIntent is one root credential that was begun.
type rootIntent struct {
	Marker string    `json:"marker"`
	At     time.Time `json:"at"`
}

// bootstrap makes a root credential from a login that is used once. It changes entry to what is to be stored
// and returns a connection opened with that, in place of the given one. The returned function must be called
// once it is known whether the config was stored, with the error if it was not; it returns warnings for the operator.
func (b *backend) bootstrap(ctx context.Context, storage logical.Storage, name string, entry *configEntry,
	login provider.Connection, once provider.Bootstrapper,
) (provider.Connection, func(context.Context, error) []string, error) {
	id, err := newID(b.random)
	if err != nil {
		return nil, nil, err
	}
	marker, err := b.marker(ctx, storage, "config-"+name, id)
	if err != nil {
		return nil, nil, err
	}
	if err := b.putRootIntent(ctx, storage, name, marker); err != nil {
		return nil, nil, err
	}
	failpoint("bootstrap.noted")
	made, err := provider.CatchPanic(entry.Vendor+": bootstrap", func() (*provider.Bootstrapped, error) { return once.Bootstrap(ctx, marker) })
	if err != nil {
		login.Close()
		if provider.ClassOf(err).Definite() {
			b.clearRootIntent(ctx, storage, name, marker)
		}
		return nil, nil, err
	}
	failpoint("bootstrap.made")
	entry.Fields, entry.RootMarker = made.Fields, marker
	conn, err := b.openConnection(storage, name, entry)
	if err != nil {
		err = fmt.Errorf("opening a connection with the root credential that was just made: %w", err)
		b.rollbackBootstrap(ctx, storage, name, marker, made)
		login.Close()
		return nil, nil, err
	}
	return conn, func(ctx context.Context, err error) []string {
		defer login.Close()
		switch {
		case errors.Is(err, errIndeterminate):
			// Ended by the next write, or by the periodic run, if it is not the stored one.
			return nil
		case err != nil:
			b.rollbackBootstrap(ctx, storage, name, marker, made)
			return nil
		}
		b.clearRootIntent(ctx, storage, name, marker)
		return made.Warnings
	}, nil
}

// rollbackBootstrap ends a root credential that will not be stored.
func (b *backend) rollbackBootstrap(ctx context.Context, storage logical.Storage, name, marker string, made *provider.Bootstrapped) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if err := made.Undo(ctx); err != nil {
		b.Logger().Warn("a root credential that is not stored could not be ended; it is ended with the next write of the config",
			"config", name, "marker", marker, "error", err)
		return
	}
	b.clearRootIntent(ctx, storage, name, marker)
}

// revokeOrphanedRoots ends what earlier attempts may have left at the vendor. rootMarker names the config's own root
// credential: a process may have died between storing it and striking its note out.
func (b *backend) revokeOrphanedRoots(ctx context.Context, storage logical.Storage, name, rootMarker string, conn provider.Connection) []string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	attempts, err := rootIntents(ctx, storage, name)
	if err != nil {
		return []string{err.Error()}
	}
	revoker, ok := conn.(provider.MarkerRevoker)
	if !ok {
		return nil
	}
	var warnings []string
	for _, attempt := range attempts {
		if attempt.Marker != rootMarker {
			if b.clock.Now().Before(attempt.At.Add(issueDeadline)) {
				continue // another request may be at it right now
			}
			_, err := provider.CatchPanic("ending a root credential", func() (struct{}, error) { return struct{}{}, revoker.RevokeMarker(ctx, attempt.Marker) })
			if err != nil {
				warnings = append(warnings, fmt.Sprintf("an earlier attempt may have left a root credential named %q, which could not be ended: %s", attempt.Marker, err))
				continue
			}
		}
		b.clearRootIntent(ctx, storage, name, attempt.Marker)
	}
	return warnings
}

// rootIntents are the root credentials that may exist at the vendor without being stored here.
func rootIntents(ctx context.Context, storage logical.Storage, name string) ([]rootIntent, error) {
	var noted rootIntentsEntry
	_, err := readRecord(ctx, storage, bootstrapPrefix+name, &noted)
	return noted.Attempts, err
}

// putRootIntent writes down the marker of a root credential that is about to be made.
func (b *backend) putRootIntent(ctx context.Context, storage logical.Storage, name, marker string) error {
	return b.updateRootIntents(ctx, storage, name, func(attempts []rootIntent) []rootIntent {
		return append(attempts, rootIntent{Marker: marker, At: b.clock.Now()})
	})
}

// clearRootIntent strikes a marker out.
func (b *backend) clearRootIntent(ctx context.Context, storage logical.Storage, name, marker string) {
	err := b.updateRootIntents(context.WithoutCancel(ctx), storage, name, func(attempts []rootIntent) []rootIntent {
		return slices.DeleteFunc(attempts, func(other rootIntent) bool { return other.Marker == marker })
	})
	if err != nil {
		b.Logger().Warn("an intent could not be struck out; its marker is looked for with the next write of the config",
			"config", name, "marker", marker, "error", err)
	}
}

// updateRootIntents changes the stored markers of a config.
func (b *backend) updateRootIntents(ctx context.Context, storage logical.Storage, name string, change func([]rootIntent) []rootIntent) error {
	b.writeMutex.Lock()
	defer b.writeMutex.Unlock()
	attempts, err := rootIntents(ctx, storage, name)
	if err != nil {
		return err
	}
	attempts = change(attempts)
	if len(attempts) == 0 {
		if err := storage.Delete(ctx, bootstrapPrefix+name); err != nil {
			return fmt.Errorf("deleting %s%s: %w", bootstrapPrefix, name, err)
		}
		return nil
	}
	stored, err := logical.StorageEntryJSON(bootstrapPrefix+name, rootIntentsEntry{Attempts: attempts})
	if err == nil {
		err = storage.Put(ctx, stored)
	}
	if err != nil {
		return fmt.Errorf("storing %s%s: %w", bootstrapPrefix, name, err)
	}
	return nil
}
