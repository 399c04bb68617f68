package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
)

const (
	// periodicBudget bounds the work of one periodic run. Vault grants it 90 seconds.
	periodicBudget = time.Minute

	// reconcileInterval is how often a config is compared with what its vendor lists.
	reconcileInterval = time.Hour
)

// background is the state of the background work. Only the periodic run uses it.
type background struct {
	// lastReconciled is when each config was last compared with its vendor.
	lastReconciled map[string]time.Time
	// backoffUntil is until when a config's ledger is not swept.
	backoffUntil map[string]time.Time
	// rootBackoffUntil is until when a config's root credential is not maintained.
	rootBackoffUntil map[string]time.Time
}

func newBackground() background {
	return background{
		lastReconciled:   make(map[string]time.Time),
		backoffUntil:     make(map[string]time.Time),
		rootBackoffUntil: make(map[string]time.Time),
	}
}

// periodic is called by Vault about once a minute on the active node. It completes pending work: rotations,
// revocations and comparisons with the vendors.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	state := b.System().ReplicationState()
	if state.HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, periodicBudget)
	defer cancel()
	if err := b.maintainRoots(ctx, req.Storage); err != nil {
		b.Logger().Warn("the root credentials could not be maintained", "error", err)
	}
	names, err := b.ledger.Configs(ctx, req.Storage)
	if err != nil {
		return err
	}
	for _, name := range names {
		if b.clock.Now().Before(b.background.backoffUntil[name]) {
			continue
		}
		if _, err := b.sweep(ctx, req.Storage, name, lease.SweepOptions{}); err != nil {
			b.Logger().Warn("the ledger of a config could not be swept", "config", name, "error", err)
			if provider.ClassOf(err) == provider.ClassUnauthenticated {
				b.background.backoffUntil[name] = b.clock.Now().Add(rotation.RejectedBackoff)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return b.reconcileAll(ctx, req.Storage)
}

// sweep revokes what should not live any more under a config, and deletes the config if it is retired and
// that was its last credential.
func (b *backend) sweep(ctx context.Context, storage logical.Storage, name string, options lease.SweepOptions) (lease.SweepResult, error) {
	result, err := b.credentials.Sweep(ctx, storage, name, options)
	if result.Drained {
		b.deleteRetired(context.WithoutCancel(ctx), storage, name)
	}
	return result, err
}

// reconcileAll compares each config with its vendor once in a while.
func (b *backend) reconcileAll(ctx context.Context, storage logical.Storage) error {
	names, err := b.store.ConfigNames(ctx, storage)
	if err != nil {
		return err
	}
	for _, name := range names {
		now := b.clock.Now()
		last, seen := b.background.lastReconciled[name]
		if seen && now.Sub(last) < reconcileInterval || ctx.Err() != nil {
			continue
		}
		b.background.lastReconciled[name] = now
		if !seen {
			continue // after a start, other work is more urgent
		}
		config, conn, err := b.rotator.Acquire(ctx, storage, name)
		if err == nil && config.Retired {
			// In case the process died after the last credential ended and before the config was deleted.
			conn.Release()
			b.deleteRetired(ctx, storage, name)
			continue
		}
		if err == nil {
			err = b.credentials.ReportOrphans(ctx, storage, name, config, conn)
			conn.Release()
		}
		if err != nil {
			b.Logger().Warn("a config could not be compared with its vendor", "config", name, "error", err)
		}
	}
	return nil
}
