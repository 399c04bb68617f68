package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// rootCheckInterval is how often the expiry of a root credential is read from vendors that report it: an
	// administrator can change it there.
	rootCheckInterval = 24 * time.Hour

	// rootNoticeInterval is how often an event repeats that a root credential expires.
	rootNoticeInterval = 24 * time.Hour
)

// watchRoot reports what an operator must do about a config's root credential: it expires soon, or its rotation did not
// succeed in its window.
func (b *backend) watchRoot(ctx context.Context, storage logical.Storage, name string) error {
	if !b.ownsRoots() {
		return nil
	}
	err := b.refreshRootExpiry(ctx, storage, name)
	entry, readErr := b.store.Config(ctx, storage, name)
	if readErr != nil || entry == nil || entry.Retired {
		return readErr
	}
	b.reportMissedRotation(ctx, name, entry)
	b.reportRootExpiry(ctx, name, entry)
	return err
}

// reportMissedRotation sends an event if a window of rotation_schedule has passed without a rotation: once for each
// window, and again after a failover.
func (b *backend) reportMissedRotation(ctx context.Context, name string, entry *store.Config) {
	missed := entry.MissedRotation(b.clock.Now())
	if missed.IsZero() || missed.Equal(b.background.get(name).missedRotation) {
		return
	}
	b.background.change(name, func(work *configWork) { work.missedRotation = missed })
	b.Logger().Warn("root credential not rotated inside its window; it waits for the next one, or for rotate-root",
		"config", name, "scheduled_at", formatTime(missed), "rotation_window", entry.RotationWindow.String(),
		"next_rotation", formatTime(entry.NextRotation(b.clock.Now())))
	b.sendEvent(ctx, rotation.EventRotateFail, "config", name, "scheduled_at", formatTime(missed))
}

// reportRootExpiry sends an event once a day while the root credential expires soon, or has expired.
func (b *backend) reportRootExpiry(ctx context.Context, name string, entry *store.Config) {
	now, noticeAt := b.clock.Now(), b.background.get(name).rootNoticeAt
	if !entry.RootExpiresSoon(now) {
		return
	}
	// A time further away than the interval was set by a clock that was ahead.
	if now.Before(noticeAt) && noticeAt.Sub(now) <= rootNoticeInterval {
		return
	}
	b.background.change(name, func(work *configWork) { work.rootNoticeAt = now.Add(rootNoticeInterval) })
	b.Logger().Warn("the root credential expires; set a later expiry at the vendor, or write another one to the config",
		"config", name, "root_expires_at", formatTime(entry.Root.ExpiresAt))
	b.sendEvent(ctx, rotation.EventExpiring, "config", name, "root_expires_at", formatTime(entry.Root.ExpiresAt))
}

// refreshRootExpiry reads the expiry of the root credential once a day from a vendor that reports it. The first time is
// a few minutes after a start: other work is more urgent.
func (b *backend) refreshRootExpiry(ctx context.Context, storage logical.Storage, name string) error {
	now, due := b.clock.Now(), b.background.get(name).rootCheckAt
	if now.Before(due) && due.Sub(now) <= rootCheckInterval {
		return nil
	}
	entry, err := b.store.Config(ctx, storage, name)
	if err != nil || entry == nil || entry.Retired || b.providers[entry.Vendor] == nil || !b.providers[entry.Vendor].Capabilities().ReportsRootExpiry {
		return err
	}
	if due.IsZero() {
		b.background.change(name, func(work *configWork) { work.rootCheckAt = now.Add(firstReconcile) })
		return nil
	}
	b.background.change(name, func(work *configWork) { work.rootCheckAt = now.Add(rootCheckInterval) })
	config, conn, err := b.rotator.Acquire(ctx, storage, name)
	if err != nil {
		return err
	}
	defer conn.Release()
	checked, err := b.pool.Check(ctx, conn, config.Vendor)
	if err != nil {
		return err
	}
	return b.recordCheck(ctx, storage, name, config, checked)
}

// recordCheck stores what a login with the stored root credential has shown, if that was not known: that the vendor
// accepts it, and when it expires.
func (b *backend) recordCheck(ctx context.Context, storage logical.Storage, name string, entry *store.Config, checked *provider.CheckResult) error {
	next := *entry
	expiryChanged, accepted := next.Root.SetExpiry(checked.RootExpiresAt), next.Root.MarkAccepted()
	if !expiryChanged && !accepted || !b.ownsRoots() {
		return nil
	}
	return b.store.CompareAndSwapConfig(ctx, storage, name, entry, &next)
}
