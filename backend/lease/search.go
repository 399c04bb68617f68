package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// slotSearches and minSearches are how many searches must find nothing before the slot is released and
	// before the entry is deleted. The number counts in addition to the time: a clock that is ahead for a
	// moment does not replace the searches.
	slotSearches = 2
	minSearches  = 3

	// maxFound bounds how many credentials of one marker a search ends. The engine sends a create once, and a
	// proxy may have repeated it.
	maxFound = 5
)

// searchUntil returns until when the marker of a lost issue is searched: until the latest expiry of what was
// asked for, but at least MinSearch and at most MaxSearch after the intent.
//
// A vendor may finish a request long after its caller has given up. Where it stores the absolute expiry that
// the request carries (Trend), whatever appears later than that has already expired. Where the life begins when
// the vendor acts (FTD), no expiry is a bound, but the vendor's patience is: servers and proxies end a request
// that runs for minutes, and MinSearch is an order of magnitude more. A request that is still queued a day
// later belongs to a system that was stopped in between, and its connection was closed.
func searchUntil(entry *ledger.Entry) time.Time {
	until := entry.ExpiresAt
	if earliest := entry.CreatedAt.Add(MinSearch); until.Before(earliest) {
		until = earliest
	}
	if latest := entry.CreatedAt.Add(MaxSearch); until.After(latest) {
		until = latest
	}
	return until
}

// SearchUntil returns until when the marker of an entry is searched; zero unless it is being searched.
func SearchUntil(entry *ledger.Entry) time.Time {
	if entry.State != ledger.StateSearching {
		return time.Time{}
	}
	return searchUntil(entry)
}

// search looks for a credential whose issue has an unknown outcome and ends it. One search that finds nothing
// proves nothing: the entry is kept and searched again at growing intervals until searchUntil. The slot is
// released earlier, once a few searches have found nothing.
func (c *Credentials) search(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config, conn *pool.Conn) (outcome, error) {
	failpoint.Hit("revoke.begun")
	found, err := c.endMarked(ctx, config, conn, entry.Marker)
	if err != nil {
		c.scheduleRetry(ctx, storage, entry, err)
		return outcome{}, err
	}
	failpoint.Hit("revoke.revoked")
	if found {
		c.Logger().Info("found and revoked the credential of an issue whose answer was lost",
			logOf(entry)...)
		c.SendEvent(ctx, EventRevoke, metadataOf(entry)...)
		return c.deleteEntry(ctx, storage, entry, config)
	}
	now := c.Clock.Now()
	entry.Searches++
	if entry.Searches >= minSearches && !now.Before(searchUntil(entry)) && c.clockIsSteady(now) {
		c.Logger().Info("no credential of an issue whose answer was lost has appeared; the search ends",
			logOf(entry, "searches", entry.Searches)...)
		return c.deleteEntry(ctx, storage, entry, config)
	}
	entry.State, entry.Attempts = ledger.StateSearching, 0
	entry.NextAttemptAt = now.Add(searchPause(entry.Searches))
	entry.SlotReleased = entry.SlotReleased || entry.Searches >= slotSearches && !now.Before(entry.CreatedAt.Add(SlotSearch))
	if err := c.Ledger.Update(context.WithoutCancel(ctx), storage, entry); err != nil && !errors.Is(err, ledger.ErrChanged) {
		return outcome{}, err
	}
	return outcome{}, nil
}

// searchPause returns the pause after a number of searches that found nothing.
func searchPause(searches int) time.Duration {
	return min(MinSearchPause<<min(max(searches-1, 0), 10), MaxSearchPause)
}

// endMarked ends every credential that carries the marker, and reports whether there was one.
func (c *Credentials) endMarked(ctx context.Context, config *store.Config, conn *pool.Conn, name string) (found bool, err error) {
	revoker, ok := conn.Connection.(provider.MarkerRevoker)
	if !ok {
		return false, fmt.Errorf("the vendor's connection %T cannot revoke by marker although its capabilities say so", conn.Connection)
	}
	for range maxFound {
		more := false
		err := c.Pool.Call(ctx, conn, config.Vendor, pool.OperationRevoke, func(ctx context.Context) (err error) {
			more, err = revoker.RevokeMarker(ctx, name)
			return err
		})
		if err != nil {
			return found, err
		}
		if !more {
			return found, nil
		}
		found = true
	}
	return found, nil
}

// LastSearch searches the markers of a config that is about to be deleted one last time, if nothing else is left in
// its ledger. It deletes the entries of what it found and ended, and returns the entries that it did not find: a
// credential that carries one of their markers could still appear, and would remain. It returns nothing while an entry
// occupies a slot or is not being searched. Until the caller calls DropSearches, and after an error, the searches go on.
func (c *Credentials) LastSearch(ctx context.Context, storage logical.Storage, name string) (unresolved []ledger.Entry, err error) {
	stats, err := c.Ledger.Stats(ctx, storage, name)
	if err != nil || stats.Total == 0 || stats.ByState[ledger.StateSearching] < stats.Total {
		return nil, err
	}
	entries, err := c.Ledger.List(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	now := c.Clock.Now()
	for i := range entries {
		if entries[i].State != ledger.StateSearching || entries[i].OccupiesSlot(now) {
			return nil, nil
		}
	}
	config, conn, err := c.Acquire(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	for i := range entries {
		entry := &entries[i]
		if err := config.CheckOrigin(c.Providers[config.Vendor], entry.Origin); err != nil {
			return nil, err
		}
		found, err := c.endMarked(ctx, config, conn, entry.Marker)
		if err != nil {
			return nil, fmt.Errorf("searching %s: %w", entry.Marker, err)
		}
		if !found {
			unresolved = append(unresolved, *entry)
			continue
		}
		if _, err := c.deleteEntry(ctx, storage, entry, nil); err != nil {
			return nil, err
		}
	}
	return unresolved, nil
}

// DropSearches deletes the entries of searches that end because their config was deleted. It logs each marker. An entry
// that cannot be deleted is deleted by the background work later.
func (c *Credentials) DropSearches(ctx context.Context, storage logical.Storage, unresolved []ledger.Entry) {
	for i := range unresolved {
		entry := &unresolved[i]
		c.Logger().Error("the answer to an issue was lost, and no search has found a credential; one may still appear at the vendor",
			logOf(entry)...)
		if _, err := c.deleteEntry(ctx, storage, entry, nil); err != nil {
			c.Logger().Warn("the entry of a search that has ended could not be deleted", logOf(entry, "error", err)...)
		}
	}
}
