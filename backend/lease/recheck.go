package lease

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Recheck finds the credentials of a config that the vendor has ended together with a previous root
// credential, and returns how many there are. No reader gets them any more, and they take no slot once a sweep
// has deleted their entries.
func (c *Credentials) Recheck(ctx context.Context, storage logical.Storage, name string, config *store.Config) (ended int, err error) {
	conn, err := c.Pool.Acquire(storage, name, config)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	driver, ok := conn.Connection.(provider.Renewer)
	if !ok {
		return 0, nil
	}
	renew := c.renewFuncOf(conn, config.Vendor, driver)
	entries, err := c.Ledger.List(ctx, storage, name)
	if err != nil {
		return 0, err
	}
	for i := range entries {
		entry, err := c.Ledger.Get(ctx, storage, name, entries[i].ID)
		if err != nil {
			return ended, err
		}
		if entry == nil || entry.State != ledger.StateLive || config.CheckOrigin(c.Providers[config.Vendor], entry.Origin) != nil {
			continue
		}
		remaining := max(entry.ExpiresAt.Sub(c.Clock.Now()).Truncate(time.Second), time.Second)
		switch _, err = renew(ctx, entry.Handle, remaining); {
		case provider.ClassOf(err) == provider.ClassNotFound:
			ended++
			if err := c.markEnded(ctx, storage, entry); err != nil {
				return ended, err
			}
		case err != nil:
			return ended, err
		}
	}
	return ended, nil
}

// markEnded marks a credential that the vendor has ended, so that the next sweep confirms it and deletes the
// entry.
func (c *Credentials) markEnded(ctx context.Context, storage logical.Storage, entry *ledger.Entry) error {
	c.shared.forgetEntry(entry.ID)
	entry.State, entry.NextAttemptAt = ledger.StateRevoking, c.Clock.Now()
	entry.LastError = "the vendor reports that it has ended"
	if err := c.Ledger.Update(ctx, storage, entry); err != nil && !errors.Is(err, ledger.ErrChanged) {
		return err
	}
	return nil
}
