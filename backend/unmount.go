package backend

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// unmountTimeout bounds the last vendor calls of a mount that is unmounted. Vault waits for them.
	unmountTimeout = 15 * time.Second

	// unmountCredentials is how much of that time the credentials may take. The rest is for the root credentials and
	// the engine's logins.
	unmountCredentials = 10 * time.Second

	// unmountParallel is how many configs are served at the same time.
	unmountParallel = 8
)

// Setup implements logical.Backend. It keeps the mount's storage for the end of the mount, which comes without a
// request.
func (b *backend) Setup(ctx context.Context, conf *logical.BackendConfig) error {
	if conf.StorageView != nil {
		b.storage = conf.StorageView
	}
	return b.Backend.Setup(ctx, conf)
}

// isUnmounting reports whether the mount is removed permanently, with its storage. Vault taints a mount before it
// revokes its leases, then calls Cleanup, and deletes the storage. A seal, a step-down and a plugin reload do not
// taint it.
func (b *backend) isUnmounting() bool {
	return b.storage != nil && b.System().Tainted() && !b.isStandby()
}

// unmount makes the last attempt to end what the mount has at the vendors. Nothing knows of it afterwards, so that
// what is left is logged with all that an operator needs to find it.
//
// A mount whose unmounting failed, since a lease could not be revoked, stays tainted, and a seal looks like its end.
// The root credentials are still needed then. They are therefore revoked only if no credential is left.
func (b *backend) unmount(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unmountTimeout)
	defer cancel()
	names, err := b.namesInStorage(ctx, b.storage)
	if err != nil {
		b.Logger().Error("unmounting: what is left at the vendors could not be listed", "error", err)
		return
	}
	ending, stop := context.WithTimeout(ctx, unmountCredentials)
	defer stop()
	complete := forConfigs(names, func(name string) bool { return b.endCredentials(ending, name) })
	forConfigs(names, func(name string) bool { b.endMountedConfig(ctx, name, complete); return true })
	b.pool.AwaitLogouts(ctx) // also those of connections whose last user has just left
}

// forConfigs calls end for each config, several at the same time, and reports whether all calls reported true.
func forConfigs(names []string, end func(name string) bool) bool {
	results := make([]bool, len(names))
	var group errgroup.Group
	group.SetLimit(unmountParallel)
	for i, name := range names {
		group.Go(func() error {
			results[i] = end(name)
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
	return !slices.Contains(results, false)
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
		b.Logger().Warn("unmounting: the engine's login was not ended in time; it ends by itself", "config", name, "vendor", config.Vendor, "address", config.Address)
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
	for _, loss := range b.vaultManagedLoss(config) {
		b.Logger().Error("unmounting: "+loss, "config", name, "vendor", config.Vendor, "address", config.Address)
	}
}

// errCredentialsLeft is why a root credential is not revoked at the end of a mount.
var errCredentialsLeft = errors.New("credentials of the mount are left at the vendors, or this Vault may be a copy: the root credential may still be needed")

// ownsRoots reports whether this cluster changes configs. A performance secondary does not.
func (b *backend) ownsRoots() bool {
	return !b.System().ReplicationState().HasState(consts.ReplicationPerformanceSecondary) || b.System().LocalMount()
}
