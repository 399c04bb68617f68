package lease

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
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
			// Read again for its handle. What fails is in the list that is returned.
			entry, err := c.Ledger.Get(ctx, storage, name, entries[i].ID)
			if err != nil || entry == nil {
				return nil
			}
			if _, err := c.revoke(ctx, storage, entry); err != nil && concernsVendor(err) {
				stopped.Store(true)
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
	return c.Ledger.List(context.WithoutCancel(ctx), storage, name)
}
