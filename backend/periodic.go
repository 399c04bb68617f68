package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
)

// periodic is Vault's tick, about once a minute on the active node: it works off what is not settled.
func (b *backend) periodic(ctx context.Context, req *logical.Request) error {
	state := b.System().ReplicationState()
	if state.HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, periodicBudget)
	defer cancel()
	names, err := b.ledger.Configs(ctx, req.Storage)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := b.settle(ctx, req.Storage, name); err != nil {
			b.Logger().Warn("the ledger of a config could not be settled", "config", name, "error", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// settle ends every credential of a config that should not be alive any more and strikes out what has
// expired. The first failure at the vendor ends the run for this config: an unreachable vendor costs
// one timeout a tick.
func (b *backend) settle(ctx context.Context, storage logical.Storage, name string) error {
	entries, err := b.ledger.List(ctx, storage, name)
	if err != nil {
		return err
	}
	config, err := b.config(ctx, storage, name)
	if err != nil {
		return err
	}
	now := b.clock.Now()
	for i := range entries {
		if ctx.Err() != nil {
			return nil
		}
		if _, busy := b.inFlight.Load(entries[i].ID); busy {
			continue
		}
		switch todo(&entries[i], now) {
		case nothing:
		case forget:
			b.Logger().Info("credential expired at the vendor", "config", name, "id", entries[i].ID, "state", entries[i].State)
			if err := b.strikeOut(ctx, storage, &entries[i], config); err != nil {
				return err
			}
		case look:
			// No lease may be left that holds it, for all that the entry alone can tell.
			last, err := b.ledger.Abandoned(ctx, storage, entries[i].ID, now.Add(-lostLeaseGrace))
			if err != nil {
				return err
			}
			if last {
				b.shared.forgetEntry(entries[i].ID)
				if err := b.settleOne(ctx, storage, name, entries[i].ID); err != nil {
					return err
				}
			}
		case revoke:
			if err := b.settleOne(ctx, storage, name, entries[i].ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleOne ends one credential, unless it has changed since it was listed.
func (b *backend) settleOne(ctx context.Context, storage logical.Storage, config, id string) error {
	entry, err := b.ledger.Get(ctx, storage, config, id)
	if err != nil || entry == nil || todo(entry, b.clock.Now()) < look {
		return err
	}
	b.Logger().Info("ending a credential that no lease holds", "config", config, "id", id, "state", entry.State)
	return b.end(ctx, storage, entry)
}

// action is what the periodic run does about an entry.
type action int

const (
	nothing action = iota
	forget
	look
	revoke
)

// todo decides by the entry alone, so that what is due does not depend on who asks.
func todo(entry *ledger.Entry, now time.Time) action {
	// The vendor may keep no end, or the application's own calls may have moved it: whether such a credential is
	// over, only the vendor can tell.
	mayLiveOn := entry.OutlivesExpiry && (entry.State == ledger.StateLive || entry.State == ledger.StateRevoking)
	if now.After(entry.ExpiresAt.Add(expiryGrace)) && !mayLiveOn {
		return forget
	}
	switch entry.State {
	case ledger.StateIssuing:
		// No request lasts that long: the process that wrote the intent is gone.
		if now.After(entry.CreatedAt.Add(issueDeadline)) {
			return revoke
		}
	case ledger.StateLive:
		if entry.IsShared() {
			if now.After(entry.CreatedAt.Add(issueDeadline)) {
				return look
			}
			return nothing
		}
		if now.After(entry.LeaseEndsAt.Add(lostLeaseGrace)) {
			return revoke
		}
	case ledger.StateRevoking:
		if !now.Before(entry.NextAttemptAt) {
			return revoke
		}
	case ledger.StateExpiring:
	}
	return nothing
}
