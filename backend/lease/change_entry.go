package lease

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

// updateAttempts is how often a change of an entry is stored when other requests change the entry at the same time.
const updateAttempts = 5

// changeEntry applies change to an entry and stores it. If another request has changed the entry since it was read, change is
// called again, with again set, on what that request has stored. changed is false, without an error, if the entry was deleted or
// change returned false. The error is [ledger.ErrChanged] if other requests were faster each time. entry is always the latest
// version.
func (c *Credentials) changeEntry(
	ctx context.Context, storage logical.Storage, entry *ledger.Entry, change func(entry *ledger.Entry, again bool) bool,
) (changed bool, err error) {
	for attempt := range updateAttempts {
		if !change(entry, attempt > 0) {
			return false, nil
		}
		if err = c.Ledger.Update(ctx, storage, entry); !errors.Is(err, ledger.ErrChanged) {
			return true, err
		}
		current, getErr := c.Ledger.Get(ctx, storage, entry.Config, entry.ID)
		if getErr != nil {
			return true, getErr
		}
		if current == nil {
			return false, nil
		}
		*entry = *current
	}
	return true, err
}
