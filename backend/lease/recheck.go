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
// credential, and returns how many there are. No reader gets them any more, and they take no slot.
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
	var failed []error
	for i := range entries {
		if entries[i].State != ledger.StateLive {
			continue
		}
		entry, err := c.Ledger.Get(ctx, storage, name, entries[i].ID)
		if err != nil {
			return ended, err
		}
		if entry == nil || entry.State != ledger.StateLive || config.CheckOrigin(c.Providers[config.Vendor], entry.Origin) != nil {
			continue
		}
		remaining := max(wholeSeconds(entry.ExpiresAt.Sub(c.Clock.Now())), time.Second)
		switch _, err = renew(ctx, entry.Handle, remaining); {
		case provider.ClassOf(err) == provider.ClassNotFound:
			ended++
			if err := c.markEnded(ctx, storage, entry); err != nil {
				return ended, err
			}
		case err != nil && concernsVendor(err):
			return ended, joinFirst(append(failed, err))
		case err != nil:
			failed = append(failed, err) // it concerns this credential; the others may be checked
		}
	}
	return ended, joinFirst(failed)
}

// markEnded marks a credential of which the vendor has reported that it does not exist any more (ClassNotFound).
// It gives back its slot at once, and no reader shares it any more. Its leases cannot be renewed. The next sweep
// confirms the end by a revocation and deletes the entry. It makes no vendor call, and writes even if the caller
// has given up.
func (c *Credentials) markEnded(ctx context.Context, storage logical.Storage, entry *ledger.Entry) error {
	ctx = context.WithoutCancel(ctx)
	c.shared.forgetEntry(entry.ID)
	_, err := c.changeEntry(ctx, storage, entry, func(entry *ledger.Entry, again bool) bool {
		if again && entry.SlotReleased {
			return false
		}
		entry.State, entry.NextAttemptAt, entry.SlotReleased = ledger.StateRevoking, c.Clock.Now(), true
		entry.LastError = "the vendor reports that the credential does not exist any more"
		return true
	})
	if errors.Is(err, ledger.ErrChanged) {
		return nil // the next sweep finds what the other requests have stored
	}
	return err
}
