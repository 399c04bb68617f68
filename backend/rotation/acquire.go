package rotation

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Acquire returns a config and its connection for a request on behalf of a credential. The caller must release
// the connection. Acquire waits while the root credential is being rotated. After a rotation that was
// interrupted, it first finds out which root credential the vendor accepts.
func (r *Rotator) Acquire(ctx context.Context, storage logical.Storage, name string) (*store.Config, *pool.Conn, error) {
	for {
		entry, conn, err := r.acquireStored(ctx, storage, name)
		if err != nil {
			return nil, nil, err
		}
		mustResolve, err := r.mustResolve(name, entry, conn)
		if err != nil {
			conn.Release()
			return nil, nil, err
		}
		if !mustResolve {
			return entry, conn, nil
		}
		conn.Release()
		if err := r.ResolveRoot(ctx, storage, name); err != nil {
			return nil, nil, err
		}
	}
}

// acquireStored returns the config and its connection as they are stored. It waits while a rotation runs.
func (r *Rotator) acquireStored(ctx context.Context, storage logical.Storage, name string) (*store.Config, *pool.Conn, error) {
	for {
		entry, err := r.Store.Config(ctx, storage, name)
		if err != nil {
			return nil, nil, err
		}
		if entry == nil {
			return nil, nil, &provider.Error{
				Class:   provider.ClassInvalid,
				Message: "the config does not exist",
				Remedy:  fmt.Sprintf("write it to config/%s", name),
			}
		}
		conn, released, err := r.Pool.TryAcquire(storage, name, entry)
		if err != nil || conn != nil {
			return entry, conn, err
		}
		select {
		case <-released:
		case <-ctx.Done():
			return nil, nil, &provider.Error{
				Class: provider.ClassUnavailable, Message: "the root credential is being rotated", Remedy: "try again", Err: ctx.Err(),
			}
		}
	}
}

// mustResolve reports whether the engine must find out which root credential the vendor accepts before the
// connection can be used.
func (r *Rotator) mustResolve(name string, entry *store.Config, conn *pool.Conn) (bool, error) {
	if len(entry.Root.Candidates) == 0 {
		return false, nil
	}
	if backingOff, err := r.resolver.backingOff(name, r.rootsOf(entry), r.Clock.Now()); backingOff {
		return false, err
	}
	return entry.Root.InDoubt() || conn.TakeAuthFailure(), nil
}
