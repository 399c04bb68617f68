package lease

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// endParallel is how many revocations EndAll makes at the same time.
const endParallel = 8

// EndAll revokes every credential of a config once, whatever its lease and the pause after its last attempt, for a
// config that goes away. It returns the entries that are left, without their handles: the vendor has not confirmed
// their end, or cannot revoke them. It stops at the first failure that concerns the vendor as a whole, and when
// the context ends.
func (c *Credentials) EndAll(ctx context.Context, storage logical.Storage, name string) (left []ledger.Entry, err error) {
	entries, err := c.Ledger.List(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	var stopped atomic.Bool
	var group errgroup.Group
	group.SetLimit(endParallel)
	for i := range entries {
		if entries[i].State == ledger.StateExpiring {
			continue
		}
		group.Go(func() error {
			if stopped.Load() || ctx.Err() != nil {
				return nil
			}
			_, err := provider.CatchPanic("revoke", func() (struct{}, error) { return struct{}{}, c.endOne(ctx, storage, name, entries[i].ID) })
			provider.LogPanic(c.Logger(), err, "a revocation panicked", "config", name, "credential_id", entries[i].ID)
			if err != nil && concernsVendor(err) {
				stopped.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
	return c.Ledger.List(context.WithoutCancel(ctx), storage, name)
}

// endOne revokes a credential of EndAll, which it reads again for its handle. It returns only the error of the revocation:
// what cannot be read is in the list that EndAll returns.
func (c *Credentials) endOne(ctx context.Context, storage logical.Storage, name, id string) error {
	entry, err := c.Ledger.Get(ctx, storage, name, id)
	if err != nil || entry == nil {
		return nil
	}
	_, err = c.revoke(ctx, storage, entry)
	return err
}
