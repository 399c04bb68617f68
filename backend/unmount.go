package backend

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// unmountLimits bound the last vendor calls of a mount. Vault waits for them.
type unmountLimits struct {
	// total is for everything, and credentials is how much of it the credentials may take. The rest is for root
	// credentials and the engine's logins.
	total, credentials time.Duration
	// endRoots is true if the root credentials that the engine has created are revoked.
	endRoots bool
}

var (
	// unmounting is for a mount that certainly goes away.
	unmounting = unmountLimits{total: 15 * time.Second, credentials: 10 * time.Second, endRoots: true}

	// maybeSealing is for a mount that an earlier attempt to unmount or move it has left tainted: this may be a seal, which
	// must not wait, and the root credentials are needed afterwards.
	maybeSealing = unmountLimits{total: time.Second, credentials: time.Second}
)

// Setup implements logical.Backend. It keeps the mount's storage for the end of the mount, which comes without a
// request, and remembers for a moment what Vault says about the system.
func (b *backend) Setup(ctx context.Context, conf *logical.BackendConfig) error {
	if conf.StorageView != nil {
		b.storage = conf.StorageView
	}
	own := *conf
	if own.System != nil {
		b.system = newSystemView(own.System, b.systemMaxAge)
		own.System = b.system
	}
	return b.Backend.Setup(ctx, &own)
}

// isUnmounting reports whether the mount is removed permanently, with its storage. Vault taints a mount before it
// revokes its leases, then calls Cleanup, and deletes the storage. A seal, a step-down and a plugin reload do not
// taint it. A mount whose unmounting or moving has failed stays tainted; see leaseEnds.
func (b *backend) isUnmounting() bool {
	return b.storage != nil && b.System().Tainted() && !b.isStandby()
}

// leaseEnds tells an unmount from a seal of a mount that an earlier attempt to unmount or move it has left tainted. Such
// an attempt fails because a lease could not be revoked. An unmount that comes to its end has revoked all leases. The
// zero value is ready to use. It is safe for concurrent use.
type leaseEnds struct {
	mu sync.Mutex
	// taintedBefore is true if the process began with a tainted mount and has revoked no lease since then.
	taintedBefore bool
	// failed are the leases whose revocation has failed while the mount was tainted.
	failed map[lease.Reference]bool
}

// begin is called when the process starts to serve the mount.
func (e *leaseEnds) begin(tainted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taintedBefore = tainted
}

// observe records the outcome of a revocation that Vault has asked for. It asks whether the mount is tainted only after
// a failure: that is a round trip to Vault's process.
func (e *leaseEnds) observe(reference lease.Reference, isTainted func() bool, err error) {
	tainted := err != nil && isTainted()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		delete(e.failed, reference)
		e.taintedBefore = false
	case tainted:
		if e.failed == nil {
			e.failed = make(map[lease.Reference]bool)
		}
		e.failed[reference] = true
	}
}

// limits returns how much a tainted mount may do when the process releases it.
func (e *leaseEnds) limits() unmountLimits {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.failed) > 0 || e.taintedBefore {
		return maybeSealing
	}
	return unmounting
}

// unmount makes the last attempt to end what the mount has at the vendors. Nothing knows of it afterwards, so that
// what is left is logged with all that an operator needs to find it. All configs are served at the same time, each with
// the whole time: a silent vendor delays no other one. The root credential of a config is revoked if none of its
// credentials is left.
func (b *backend) unmount(ctx context.Context, limits unmountLimits) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limits.total)
	defer cancel()
	names, err := b.namesInStorage(ctx, b.storage)
	if err != nil {
		b.Logger().Error("unmounting: what is left at the vendors could not be listed", "error", err)
		return
	}
	ending, stop := context.WithTimeout(ctx, limits.credentials)
	defer stop()
	var group sync.WaitGroup
	for _, name := range names {
		group.Go(func() {
			_, err := provider.CatchPanic("unmount", func() (struct{}, error) {
				complete := b.endCredentials(ending, name)
				b.endMountedConfig(ctx, name, complete && limits.endRoots)
				return struct{}{}, nil
			})
			if err != nil {
				b.Logger().Error("unmounting: what a config has at its vendor may be left there", "config", name, "error", err)
			}
		})
	}
	group.Wait()
	b.pool.AwaitLogouts(ctx) // also those of connections whose last user has just left
}

// endCredentials revokes all credentials of a config once more and logs those that are left. It reports whether all
// have ended whose vendor can revoke them.
func (b *backend) endCredentials(ctx context.Context, name string) (complete bool) {
	left, err := b.credentials.EndAll(ctx, b.storage, name)
	if err != nil {
		b.Logger().Error("unmounting: the credentials of a config could not be listed, and may be left at the vendor", "config", name, "error", err)
		return false
	}
	config, err := b.store.Config(context.WithoutCancel(ctx), b.storage, name)
	if config == nil || err != nil {
		config = &store.Config{}
	}
	complete = true
	for i := range left {
		entry := &left[i]
		record := []any{
			"config", name, "role", entry.Role, "marker", entry.Marker, "vendor", config.Vendor, "address", config.Address,
			"expires_at", formatTime(entry.ExpiresAt),
		}
		if entry.State == ledger.StateExpiring {
			b.Logger().Warn("unmounting: a credential that the vendor cannot revoke lives until its expiry", record...)
			continue
		}
		complete = false
		b.Logger().Error("unmounting: a credential is left at the vendor; revoke it there", append(record, "error", entry.LastError)...)
	}
	return complete
}

// endMountedConfig revokes the root credential that the engine has created for a config, if revoke is true, and ends
// the engine's login.
func (b *backend) endMountedConfig(ctx context.Context, name string, revoke bool) {
	config, err := store.ReadConfig(ctx, b.storage, name)
	if err != nil || config == nil {
		return
	}
	if b.ownsRoots() {
		// A copy must not revoke the root credential that the original uses.
		suspended, err := b.isSuspended(ctx, b.storage, config)
		b.endMountedRoot(ctx, name, config, revoke && err == nil && !suspended)
	}
	// After a restart the login exists only in the session store. It can be ended once it is open.
	if conn, err := b.pool.Acquire(b.storage, name, config); err == nil {
		conn.Release()
	}
	b.pool.Remove(ctx, name)
	if ctx.Err() != nil {
		b.Logger().Warn("unmounting: the engine's login was not ended in time; it lives until it expires", "config", name, "vendor", config.Vendor, "address", config.Address)
	}
}

// endMountedRoot revokes the root credentials that only Vault knows, or names them.
func (b *backend) endMountedRoot(ctx context.Context, name string, config *store.Config, revoke bool) {
	if revoke && config.Root.Previous != nil {
		if err := b.rotator.RevokePrevious(ctx, b.storage, name); err != nil {
			b.Logger().Error("unmounting: the previous root credential is left at the vendor; revoke it there",
				"config", name, "vendor", config.Vendor, "address", config.Address, "error", err)
		} else if current, err := store.ReadConfig(ctx, b.storage, name); err == nil && current != nil {
			config = current
		}
	}
	if intents, err := b.store.RootIntents(ctx, b.storage, name); err == nil {
		for _, intent := range intents {
			if intent.Marker != config.RootMarker {
				b.Logger().Error("unmounting: an earlier attempt may have left a root credential at the vendor; search it there",
					"config", name, "marker", intent.Marker, "vendor", config.Vendor, "address", config.Address)
			}
		}
	}
	err := errCredentialsLeft
	if revoke {
		err = b.rotator.RevokeRoot(ctx, b.storage, name, config)
	}
	if err != nil && config.RootMarker != "" {
		b.reportRootLoss(ctx, name, config, err)
	}
	for _, loss := range b.vaultManagedLoss(name, config) {
		b.Logger().Error("unmounting: "+loss, "config", name, "vendor", config.Vendor, "address", config.Address)
	}
}

// errCredentialsLeft is why a root credential is not revoked at the end of a mount.
var errCredentialsLeft = errors.New("credentials of the config are left at the vendor, an attempt to unmount has failed, or this Vault may be a copy: " +
	"the root credential may still be needed")

// ownsRoots reports whether this cluster changes configs. A performance secondary does not.
func (b *backend) ownsRoots() bool {
	return !b.System().ReplicationState().HasState(consts.ReplicationPerformanceSecondary) || b.System().LocalMount()
}
