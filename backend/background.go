package backend

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/worker"
)

const (
	// reconcileInterval is how often a config is compared with what its vendor lists.
	reconcileInterval = time.Hour

	// firstReconcile is when that happens for the first time after a start: other work is more urgent, but a
	// process may live for less than the interval.
	firstReconcile = 5 * time.Minute

	// rotationBudget bounds a rotation that the background work begins. It does not count against the budget of
	// the turn: an interrupted rotation leaves its outcome in doubt.
	rotationBudget = time.Minute
)

// background is what the background work knows of each config. It is safe for concurrent use.
type background struct {
	mu      sync.Mutex
	configs map[string]configWork
	// runAt is when the worker last looked for work.
	runAt time.Time
}

// configWork is what the background work knows of one config.
type configWork struct {
	// reconcileAt is when the config is compared with its vendor.
	reconcileAt time.Time
	// rootRetryAt is until when the root credential is not maintained, after a failure.
	rootRetryAt time.Time
	// rootCheckAt is when the expiry of the root credential is read again, and rootNoticeAt when an event reports it again.
	rootCheckAt, rootNoticeAt time.Time
	// missedRotation is the time of the schedule for which an event has reported that no rotation took place.
	missedRotation time.Time
	// rootRejections counts the failures in a row that another attempt can make worse.
	rootRejections int
	// turnAt is when the last turn ended.
	turnAt time.Time
}

// postponeRoot sets when the root credential is maintained again, after a failure. Each attempt can send a root
// credential that the vendor rejects, so that the pause grows, unless the vendor is only away.
func (w *configWork) postponeRoot(now time.Time, err error) {
	switch provider.ClassOf(err) {
	case provider.ClassUnavailable, provider.ClassRateLimited:
		w.rootRetryAt = now.Add(rotation.RejectedBackoff)
	default:
		w.rootRejections++
		w.rootRetryAt = now.Add(rotation.GrownBackoff(w.rootRejections))
	}
}

func newBackground() *background { return &background{configs: make(map[string]configWork)} }

func (b *background) get(name string) configWork {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.configs[name]
}

func (b *background) change(name string, change func(*configWork)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	work := b.configs[name]
	change(&work)
	b.configs[name] = work
}

// keep drops the configs that do not exist any more.
func (b *background) keep(exists func(name string) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.configs, func(name string, _ configWork) bool { return !exists(name) })
}

// recordRun records that the worker has looked for work.
func (b *background) recordRun(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.runAt = now
}

// lastRun returns when the worker last looked for work. It is zero before its first look.
func (b *background) lastRun() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.runAt
}

// startWorker starts the mount's background work on its storage.
func (b *backend) startWorker(storage logical.Storage) {
	b.workerMutex.Lock()
	defer b.workerMutex.Unlock()
	if b.worker != nil || b.lifetime.Err() != nil {
		return // it runs already, or the mount goes away
	}
	b.worker = worker.Start(worker.Options{
		Names:  func(ctx context.Context) ([]string, error) { return b.backgroundNames(ctx, storage) },
		Turn:   func(ctx context.Context, name string) (bool, error) { return b.observedTurn(ctx, storage, name) },
		Logger: b.Logger,
	})
}

// stopWorker ends the background work. It returns within a second.
func (b *backend) stopWorker() {
	b.workerMutex.Lock()
	stopped := b.worker
	b.worker = nil
	b.workerMutex.Unlock()
	if stopped != nil {
		stopped.Stop()
	}
}

// runningWorker returns the mount's worker, or nil before the start and after the end.
func (b *backend) runningWorker() *worker.Worker {
	b.workerMutex.Lock()
	defer b.workerMutex.Unlock()
	return b.worker
}

// wakeWorker makes the worker look for work.
func (b *backend) wakeWorker() {
	if running := b.runningWorker(); running != nil {
		running.Wake()
	}
}

// periodic is called by Vault about once a minute, under Vault's state lock. It only wakes the worker.
func (b *backend) periodic(_ context.Context, req *logical.Request) error {
	b.startWorker(req.Storage)
	b.wakeWorker()
	return nil
}

// backgroundNames lists the configs that may have work: those that exist and those that have ledger entries.
// Standbys have none.
func (b *backend) backgroundNames(ctx context.Context, storage logical.Storage) ([]string, error) {
	if b.isStandby() {
		return nil, nil
	}
	if err := b.beat(ctx, storage); err != nil {
		return nil, err
	}
	names, err := b.namesInStorage(ctx, storage)
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(names))
	for _, name := range names {
		known[name] = true
	}
	exists := func(name string) bool { return known[name] }
	b.background.keep(exists)
	b.rotator.Keep(exists)
	b.checks.keep(exists)
	b.credentials.KeepChecks(exists)
	b.pool.KeepLimits(ctx, storage, exists)
	b.background.recordRun(b.clock.Now())
	return names, nil
}

// namesInStorage lists the configs that exist and those that have ledger entries.
func (b *backend) namesInStorage(ctx context.Context, storage logical.Storage) ([]string, error) {
	configs, err := b.store.ConfigNames(ctx, storage)
	if err != nil {
		return nil, err
	}
	inLedger, err := b.ledger.Configs(ctx, storage)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(configs, inLedger)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// observedTurn is backgroundTurn, and records when the turn ended and whether it failed.
func (b *backend) observedTurn(ctx context.Context, storage logical.Storage, name string) (more bool, err error) {
	config, readErr := b.store.Config(ctx, storage, name)
	b.pool.RefreshLimit(ctx, storage, name) // also where no request has opened the connection since the start
	more, err = b.backgroundTurn(ctx, storage, name)
	b.background.change(name, func(work *configWork) { work.turnAt = b.clock.Now() })
	if err != nil && readErr == nil && config != nil {
		b.pool.Metrics.CountTurnFailure(name, config.Vendor)
	}
	return more, err
}

// backgroundTurn does what is due for one config: its root credential, its ledger, and the comparison with its
// vendor. more is true when the time was too short for the ledger and some of the work was done: also when the last
// request did not get its turn in time.
func (b *backend) backgroundTurn(ctx context.Context, storage logical.Storage, name string) (more bool, err error) {
	rootErr := errors.Join(b.maintainRoot(ctx, storage, name), b.watchRoot(ctx, storage, name))
	swept, sweepErr := b.sweep(ctx, storage, name, lease.SweepOptions{})
	if _, loading := errors.AsType[*ledger.LoadingError](sweepErr); loading {
		b.Logger().Info("the ledger of a config is being loaded", "config", name, "progress", sweepErr)
		return false, rootErr // the load goes on, and the worker comes back
	}
	if ctx.Err() != nil || swept.Revoked > 0 && provider.ClassOf(sweepErr) == provider.ClassRateLimited {
		return swept.Revoked > 0, errors.Join(rootErr, sweepErr)
	}
	return false, errors.Join(rootErr, sweepErr, b.reconcile(ctx, storage, name))
}

// sweep revokes the credentials of a config that must end, and deletes the config if it is retired and
// its last credential has ended.
func (b *backend) sweep(ctx context.Context, storage logical.Storage, name string, options lease.SweepOptions) (lease.SweepResult, error) {
	result, err := b.credentials.Sweep(ctx, storage, name, options)
	if result.Drained {
		b.deleteRetired(storage, name)
	}
	return result, err
}

// reconcile compares a config with its vendor once in a while, and reports the orphans.
func (b *backend) reconcile(ctx context.Context, storage logical.Storage, name string) error {
	now, due := b.clock.Now(), b.background.get(name).reconcileAt
	if due.IsZero() {
		b.background.change(name, func(work *configWork) { work.reconcileAt = now.Add(firstReconcile) })
		return nil
	}
	// A time further away than the interval was set by a clock that was ahead.
	if now.Before(due) && due.Sub(now) <= reconcileInterval {
		return nil
	}
	b.background.change(name, func(work *configWork) { work.reconcileAt = now.Add(reconcileInterval) })
	if entry, err := b.store.Config(ctx, storage, name); err != nil || entry == nil {
		return err
	}
	config, conn, err := b.rotator.Acquire(ctx, storage, name)
	if err != nil {
		return err
	}
	if config.Retired {
		// In case the process died after the last credential ended and before the config was deleted.
		conn.Release()
		b.deleteRetired(storage, name)
		return nil
	}
	defer conn.Release()
	return b.credentials.ReportOrphans(ctx, storage, name, config, conn)
}

// maintainRoot completes a rotation that was interrupted, revokes root credentials that were created and never
// stored, and begins a rotation that is due by rotation_period or rotation_schedule. A failure is repeated. Inside a
// rotation window only the log has it: reportMissedRotation reports a window that has passed.
func (b *backend) maintainRoot(ctx context.Context, storage logical.Storage, name string) error {
	if !b.ownsRoots() {
		return nil // only the primary changes configs
	}
	now, retryAt := b.clock.Now(), b.background.get(name).rootRetryAt
	if now.Before(retryAt) && retryAt.Sub(now) <= rotation.MaxRejectedBackoff {
		return nil
	}
	err := b.completeRoot(ctx, storage, name)
	if err == nil {
		err = b.rotateIfDue(ctx, storage, name)
	}
	if err == nil {
		b.background.change(name, func(work *configWork) { work.rootRejections = 0 })
	} else {
		b.background.change(name, func(work *configWork) { work.postponeRoot(now, err) })
		if config, readErr := b.store.Config(ctx, storage, name); readErr == nil && config != nil && config.RotationWindow == 0 && config.RotationDue(now) {
			b.sendEvent(ctx, rotation.EventRotateFail, "config", name)
		}
	}
	return err
}

// completeRoot completes what an interrupted rotation or bootstrap has left.
func (b *backend) completeRoot(ctx context.Context, storage logical.Storage, name string) error {
	entry, err := b.store.Config(ctx, storage, name)
	if err != nil || entry == nil {
		return err
	}
	intents, err := b.store.RootIntents(ctx, storage, name)
	if err != nil {
		return err
	}
	// The root credential of a retired config that the engine has created is revoked before the config is deleted.
	ending := entry.Retired && entry.RootMarker != ""
	if !ending && !entry.Root.InDoubt() && len(intents) == 0 && entry.Root.Previous == nil && !entry.Root.RecheckCredentials {
		return nil
	}
	suspended, err := b.isSuspended(ctx, storage, entry)
	if err != nil {
		return err
	}
	config, conn, err := b.rotator.Acquire(ctx, storage, name) // finds out which root credential the vendor accepts
	if err != nil {
		return err
	}
	if suspended && (len(intents) > 0 || config.Root.Previous != nil) {
		// In a copy, the intent can be that of the original's present root credential.
		conn.Release()
		return nil
	}
	if len(intents) > 0 {
		for _, warning := range b.rotator.RevokeOrphanedRoots(ctx, storage, name, config) {
			b.Logger().Warn(warning, "config", name)
		}
	}
	conn.Release()
	if err := b.rotator.RevokePrevious(ctx, storage, name); err != nil {
		return err
	}
	if config.Retired {
		return b.tryDeleteRetired(ctx, storage, name)
	}
	return nil
}

// rotateIfDue rotates a config's root credential if that is due.
func (b *backend) rotateIfDue(ctx context.Context, storage logical.Storage, name string) error {
	entry, err := b.store.Config(ctx, storage, name)
	if err != nil || entry == nil || !entry.RotationDue(b.clock.Now()) {
		return err
	}
	if suspended, err := b.isSuspended(ctx, storage, entry); err != nil || suspended {
		return err
	}
	// The worker's end ends the rotation, the budget of this turn does not.
	rotating, cancel := context.WithTimeout(b.serving, rotationBudget)
	defer cancel()
	warnings, err := b.rotateRoot(rotating, storage, name)
	for _, warning := range warnings {
		b.Logger().Warn(warning, "config", name)
	}
	return err
}
