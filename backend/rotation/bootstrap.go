package rotation

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// StoredFunc must be called once it is known whether a config with a bootstrapped root credential was stored,
// with the error if it was not. It returns warnings for the operator.
type StoredFunc func(ctx context.Context, err error) []string

// Bootstrap creates a root credential from a login that is used once. It changes entry to what must be stored
// and returns a connection that was opened with it, in place of login.
func (r *Rotator) Bootstrap(ctx context.Context, storage logical.Storage, name string, entry *store.Config,
	login provider.Connection, bootstrapper provider.Bootstrapper,
) (provider.Connection, StoredFunc, error) {
	rootMarker, err := r.prepareBootstrap(ctx, storage, name)
	if err != nil {
		login.Close()
		return nil, nil, err
	}
	failpoint.Hit("bootstrap.noted")
	created, err := provider.CatchPanic(entry.Vendor+": bootstrap", func() (*provider.Bootstrapped, error) {
		return bootstrapper.Bootstrap(ctx, rootMarker)
	})
	if err != nil {
		login.Close()
		if provider.ClassOf(err).Definite() {
			r.clearRootIntent(ctx, storage, name, rootMarker)
		}
		return nil, nil, err
	}
	failpoint.Hit("bootstrap.made")
	entry.Fields, entry.RootMarker = created.Fields, rootMarker
	conn, err := r.Pool.Open(storage, name, entry)
	if err != nil {
		err = fmt.Errorf("opening a connection with the root credential that was just created: %w", err)
		r.rollbackBootstrap(ctx, storage, name, rootMarker, created)
		login.Close()
		return nil, nil, err
	}
	return conn, func(ctx context.Context, err error) []string {
		defer login.Close()
		switch {
		case errors.Is(err, store.ErrIndeterminate):
			// If it is not the stored one, the next write or the background work revokes it.
			return nil
		case err != nil:
			r.rollbackBootstrap(ctx, storage, name, rootMarker, created)
			return nil
		}
		r.clearRootIntent(ctx, storage, name, rootMarker)
		return created.Warnings
	}, nil
}

// prepareBootstrap stores the intent of a root credential, and returns its marker.
func (r *Rotator) prepareBootstrap(ctx context.Context, storage logical.Storage, name string) (rootMarker string, err error) {
	id, err := marker.NewID(r.Random)
	if err != nil {
		return "", err
	}
	rootMarker, err = r.Markers.Marker(ctx, storage, "config-"+name, id)
	if err != nil {
		return "", err
	}
	return rootMarker, r.Store.PutRootIntent(ctx, storage, name, store.RootIntent{Marker: rootMarker, At: r.Clock.Now()})
}

// rollbackBootstrap revokes a root credential that will not be stored.
func (r *Rotator) rollbackBootstrap(ctx context.Context, storage logical.Storage, name, rootMarker string, created *provider.Bootstrapped) {
	ctx, cancel := provider.CleanupContext(ctx, cleanupTimeout)
	defer cancel()
	if err := created.Undo(ctx); err != nil {
		r.Logger().Warn("a root credential that is not stored could not be revoked; the next write of the config revokes it",
			"config", name, "marker", rootMarker, "error", err)
		return
	}
	r.clearRootIntent(ctx, storage, name, rootMarker)
}

// RevokeOrphanedRoots revokes the root credentials that earlier attempts may have left at the vendor of a stored config.
// The config's own root credential is none of them: a process may have died between storing it and clearing its intent.
// It returns warnings for the operator, without the vendor's text, since the writer of a config chooses the host. What the
// caller has no time for is done by the background work.
func (r *Rotator) RevokeOrphanedRoots(ctx context.Context, storage logical.Storage, name string, config *store.Config) []string {
	ctx, cancel := context.WithTimeout(ctx, cleanupTimeout)
	defer cancel()
	intents, err := r.Store.RootIntents(ctx, storage, name)
	if err != nil {
		return []string{err.Error()}
	}
	if len(intents) == 0 {
		return nil
	}
	conn, err := r.Pool.Acquire(storage, name, config)
	if err != nil {
		return []string{err.Error()}
	}
	defer conn.Release()
	revoker, ok := conn.Connection.(provider.MarkerRevoker)
	if !ok {
		return nil
	}
	var warnings []string
	for _, intent := range intents {
		// A write is replacing the config's own root credential, or a request is creating another one.
		if intent.Replaced == (intent.Marker == config.RootMarker) && intent.InProgress(r.Clock.Now()) {
			continue
		}
		if intent.Marker != config.RootMarker {
			err := r.Pool.Call(ctx, conn, config.Vendor, pool.OperationRevoke, func(ctx context.Context) error {
				_, err := revoker.RevokeMarker(ctx, intent.Marker)
				return err
			})
			if err != nil {
				r.Logger().Warn("a root credential of an earlier attempt could not be revoked", "config", name, "marker", intent.Marker, "error", err)
				warnings = append(warnings, fmt.Sprintf(
					"an earlier attempt may have left a root credential named %q, which could not be revoked: %s", intent.Marker, provider.ReaderText(err)))
				continue
			}
		}
		r.clearRootIntent(ctx, storage, name, intent.Marker)
	}
	return warnings
}

// clearRootIntent deletes an intent whose outcome is known.
func (r *Rotator) clearRootIntent(ctx context.Context, storage logical.Storage, name, rootMarker string) {
	if err := r.Store.ClearRootIntent(context.WithoutCancel(ctx), storage, name, rootMarker); err != nil {
		r.Logger().Warn("the intent of a root credential could not be deleted; its marker is searched again with the next write of the config",
			"config", name, "marker", rootMarker, "error", err)
	}
}
