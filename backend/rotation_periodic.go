package backend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

const (
	// rootsBudget bounds the part of a periodic run that is about root credentials, so that something is left for the
	// ledgers.
	rootsBudget = 40 * time.Second

	// rotationBudget is what must be left of it for a rotation to be begun: one that is cut off leaves doubt.
	rotationBudget = 20 * time.Second
)

// rotationDue reports whether the root credential is to be replaced by itself.
func (c *configEntry) rotationDue(now time.Time) bool {
	if c.RotationPeriod == 0 || c.Retired {
		return false
	}
	// A time to come is that of a clock that was wrong.
	return c.Root.UpdatedAt.After(now) || !now.Before(c.Root.UpdatedAt.Add(c.RotationPeriod))
}

// maintainRoots is the periodic run's part in rotations: it finishes those that were interrupted, ends root credentials
// that were made and never stored, and begins what is due by rotation_period.
func (b *backend) maintainRoots(ctx context.Context, storage logical.Storage) error {
	if b.System().ReplicationState().HasState(consts.ReplicationPerformanceSecondary) && !b.System().LocalMount() {
		return nil // configs are the primary's to change
	}
	names, err := storage.List(ctx, configPrefix)
	if err != nil {
		return fmt.Errorf("listing the configs: %w", err)
	}
	noted, err := storage.List(ctx, bootstrapPrefix)
	if err != nil {
		return fmt.Errorf("listing the intents of root credentials: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, rootsBudget)
	defer cancel()
	for _, name := range names {
		if b.clock.Now().Before(b.rootBackoffUntil[name]) || ctx.Err() != nil {
			continue
		}
		if err := b.maintainRoot(ctx, storage, name, slices.Contains(noted, name)); err != nil {
			b.Logger().Warn("the root credential of a config could not be settled", "config", name, "error", err)
			if config, readErr := b.config(ctx, storage, name); readErr == nil && config != nil && config.rotationDue(b.clock.Now()) {
				b.event(ctx, eventRootRotateFail, "config", name)
			}
			b.rootBackoffUntil[name] = b.clock.Now().Add(rejectedRootBackoff)
		}
	}
	return nil
}

// maintainRoot is maintainRoots for one config. Noted says that root credentials may be left of earlier attempts.
func (b *backend) maintainRoot(ctx context.Context, storage logical.Storage, name string, noted bool) error {
	entry, err := b.config(ctx, storage, name)
	if err != nil || entry == nil {
		return err
	}
	if entry.Root.inDoubt() || noted || entry.Root.Previous != nil || entry.Root.RecheckCredentials {
		config, conn, err := b.acquireConfig(ctx, storage, name) // which settles a proposed one
		if err != nil {
			return err
		}
		if noted {
			for _, warning := range b.revokeOrphanedRoots(ctx, storage, name, config.RootMarker, conn.Connection) {
				b.Logger().Warn(warning, "config", name)
			}
		}
		conn.release()
		if err := b.completeRotation(ctx, storage, name); err != nil {
			return err
		}
		if config.Retired {
			b.deleteRetired(ctx, storage, name)
		}
		if entry, err = b.config(ctx, storage, name); err != nil || entry == nil {
			return err
		}
	}
	deadline, bounded := ctx.Deadline()
	if !entry.rotationDue(b.clock.Now()) || bounded && time.Until(deadline) < rotationBudget {
		return nil
	}
	warnings, err := b.rotateRoot(ctx, storage, name)
	for _, warning := range warnings {
		b.Logger().Warn(warning, "config", name)
	}
	return err
}
