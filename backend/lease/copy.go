package lease

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// expiryTolerance is how much later than recorded a credential may end at the vendor without being extended: clocks
// differ, and a vendor may round.
const expiryTolerance = 5 * time.Minute

// operatorKey is the key of a context of work that an operator has asked for.
type operatorKey struct{}

// withOperator returns a context for work that an operator has asked for, who knows whether this Vault is a copy.
func withOperator(ctx context.Context) context.Context {
	return context.WithValue(ctx, operatorKey{}, true)
}

// checkNotExtended refuses to revoke a credential that a lease of another Vault may hold, after a gap in the mount's
// heartbeat: then this Vault may be a restored copy. It concerns credentials that were issued before the gap: those that
// the vendor shows to have been extended beyond what the ledger knows, where a renewal moves the expiry and the vendor
// lists it, and shared ones; see checkNotShared. An operator's tidy revokes them all the same.
func (c *Credentials) checkNotExtended(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config, conn *pool.Conn) error {
	if c.GapAt == nil || entry.Handle == nil || ctx.Value(operatorKey{}) != nil {
		return nil
	}
	gapAt, err := c.GapAt(ctx, storage)
	if err != nil {
		return err
	}
	if !entry.CreatedAt.Before(gapAt) {
		return nil
	}
	if err := c.checkNotShared(entry, config.Vendor); err != nil {
		return err
	}
	lister, ok := conn.Connection.(provider.Lister)
	if !ok || c.Providers[config.Vendor].Capabilities().Renewal != provider.RenewalExtends {
		return nil
	}
	var listed []provider.Listed
	err = c.Pool.Call(ctx, conn, config.Vendor, pool.OperationList, func(ctx context.Context) (err error) {
		listed, err = lister.List(ctx, entry.Marker)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking whether another Vault has extended the credential: %w", err)
	}
	for _, credential := range listed {
		if credential.Marker == entry.Marker && credential.ExpiresAt.After(entry.ExpiresAt.Add(expiryTolerance)) {
			return &provider.Error{
				Class: provider.ClassInvalid, Op: config.Vendor + ": revoke",
				Message: fmt.Sprintf("the vendor shows that the credential was extended until %s, but this Vault knows only of %s: it may be a copy, "+
					"and the original may have leased the credential", formatTime(credential.ExpiresAt), formatTime(entry.ExpiresAt)),
				Remedy: copyRemedy(entry),
			}
		}
	}
	return nil
}

// checkNotShared refuses to revoke a shared credential from before a gap that no client has read or renewed in this process.
// The leases of the original may hold it, and the vendor does not show that: it was issued for as long as its leases can be
// renewed. After that time, no lease of any Vault holds it, nor one that the vendor has reported as ended.
func (c *Credentials) checkNotShared(entry *ledger.Entry, vendor string) error {
	if _, used := c.usedHere.Load(entry.ID); used || !entry.IsShared() || entry.SlotReleased {
		return nil
	}
	until := entry.ExpiresAt
	if entry.MaxExpiresAt.After(until) {
		until = entry.MaxExpiresAt
	}
	if c.Clock.Now().After(until) {
		return nil
	}
	return &provider.Error{
		Class: provider.ClassInvalid, Op: vendor + ": revoke",
		Message: fmt.Sprintf("this Vault was not active for a long time, and no client has used the shared credential here since: it may be a copy, "+
			"and clients of the original may use the credential until %s", formatTime(until)),
		Remedy: copyRemedy(entry),
	}
}

func copyRemedy(entry *ledger.Entry) string {
	return fmt.Sprintf("if no other Vault runs with this mount's data, write to config/%s/tidy", entry.Config)
}
