package backend

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
)

const (
	// rootsBudget bounds the part of a periodic run that is about root credentials, so that time remains for
	// the ledgers.
	rootsBudget = 40 * time.Second

	// rotationBudget is how much of that must remain before a rotation begins: an interrupted rotation leaves
	// its outcome in doubt.
	rotationBudget = 20 * time.Second
)

// maintainRoots completes rotations that were interrupted, revokes root credentials that were created and
// never stored, and begins the rotations that are due by rotation_period.
func (b *backend) maintainRoots(ctx context.Context, storage logical.Storage) error {
	if b.System().ReplicationState().HasState(consts.ReplicationPerformanceSecondary) && !b.System().LocalMount() {
		return nil // only the primary changes configs
	}
	names, err := b.store.ConfigNames(ctx, storage)
	if err != nil {
		return err
	}
	intended, err := b.store.RootIntentConfigs(ctx, storage)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, rootsBudget)
	defer cancel()
	for _, name := range names {
		if b.clock.Now().Before(b.background.rootBackoffUntil[name]) || ctx.Err() != nil {
			continue
		}
		if err := b.maintainRoot(ctx, storage, name, slices.Contains(intended, name)); err != nil {
			b.Logger().Warn("the root credential of a config could not be maintained", "config", name, "error", err)
			if config, readErr := b.store.Config(ctx, storage, name); readErr == nil && config != nil && config.RotationDue(b.clock.Now()) {
				b.sendEvent(ctx, rotation.EventRotateFail, "config", name)
			}
			b.background.rootBackoffUntil[name] = b.clock.Now().Add(rotation.RejectedBackoff)
		}
	}
	return nil
}

// maintainRoot is maintainRoots for one config. hasIntents is true when earlier attempts may have left root
// credentials.
func (b *backend) maintainRoot(ctx context.Context, storage logical.Storage, name string, hasIntents bool) error {
	entry, err := b.store.Config(ctx, storage, name)
	if err != nil || entry == nil {
		return err
	}
	if entry.Root.InDoubt() || hasIntents || entry.Root.Previous != nil || entry.Root.RecheckCredentials {
		if err := b.completeRoot(ctx, storage, name, hasIntents); err != nil {
			return err
		}
		if entry, err = b.store.Config(ctx, storage, name); err != nil || entry == nil {
			return err
		}
	}
	deadline, bounded := ctx.Deadline()
	if !entry.RotationDue(b.clock.Now()) || bounded && time.Until(deadline) < rotationBudget {
		return nil
	}
	warnings, err := b.rotateRoot(ctx, storage, name)
	for _, warning := range warnings {
		b.Logger().Warn(warning, "config", name)
	}
	return err
}

// completeRoot completes what an interrupted rotation or bootstrap has left.
func (b *backend) completeRoot(ctx context.Context, storage logical.Storage, name string, hasIntents bool) error {
	config, conn, err := b.rotator.Acquire(ctx, storage, name) // finds out which root credential the vendor accepts
	if err != nil {
		return err
	}
	if hasIntents {
		for _, warning := range b.rotator.RevokeOrphanedRoots(ctx, storage, name, config.RootMarker, conn.Connection) {
			b.Logger().Warn(warning, "config", name)
		}
	}
	conn.Release()
	if err := b.completeRotation(ctx, storage, name); err != nil {
		return err
	}
	if config.Retired {
		b.deleteRetired(ctx, storage, name)
	}
	return nil
}
