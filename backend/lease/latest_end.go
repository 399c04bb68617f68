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

// The end of a credential whose vendor cannot be asked, because its config was moved or deleted, is judged by its age.
// Where renewals or the application's own calls move the vendor's end (ExpiryNotEnforced), the recorded expiry is no
// bound: the answer to a renewal may have been lost. The bound is what the last possible renewal can have asked for. It
// is recorded when the credential is issued, and again before a renewal that asks for more.

// latestExpiresAt returns the latest time until which a credential that was just issued can be alive, if all renewals
// of its leases up to max_ttl reach the vendor. It is zero where the vendor ends the credential at its expiry.
func (p *issueParams) latestExpiresAt(credential *provider.Credential, now time.Time) time.Time {
	if !credential.ExpiryNotEnforced && p.vendor.Capabilities().Renewal != provider.RenewalExtends {
		return time.Time{}
	}
	longest := p.lifetimes.MaxTTL
	if p.Role.IsShared() {
		longest = p.lifetimes.sharedLifetime()
	}
	// Two margins: renewals ask for one more than their lease, and a shared credential's last lease ends one later. Vault
	// counts max_ttl from the answer to the read.
	latest := now.Add(IssueDeadline + longest + 2*lifetimeMargin)
	if credential.ExpiryNotEnforced {
		// The application may use the credential until its lease ends. Then the vendor's idle time begins.
		latest = latest.Add(max(credential.ExpiresAt.Sub(now), 0))
	}
	return latest
}

// noteLatestEnd records that a renewal which begins now can move the ends of lease and credential to later times than
// was known when the credential was issued: max_ttl was raised since. It is an intent: it is stored before the vendor is
// asked. longest is for how long the vendor keeps the credential after its last use, or zero.
func (c *Credentials) noteLatestEnd(ctx context.Context, storage logical.Storage, entry *ledger.Entry, leaseExpiresAt time.Time, longest time.Duration) error {
	latest := leaseExpiresAt.Add(2*lifetimeMargin + longest)
	if !entry.ExpiryNotEnforced || !latest.After(entry.LatestExpiresAt) {
		return nil
	}
	entry.LatestExpiresAt = latest
	err := c.Ledger.Update(ctx, storage, entry)
	if errors.Is(err, ledger.ErrChanged) {
		return errRevoked // renewals of one lease follow each other
	}
	return err
}

// latestEnd returns when a credential has certainly ended, although its vendor was not asked.
func (c *Credentials) latestEnd(entry *ledger.Entry) time.Time {
	latest := entry.ExpiresAt
	switch {
	case entry.State == ledger.StateSearching:
		if until := searchUntil(entry); until.After(latest) {
			latest = until
		}
	case entry.State == ledger.StateExpiring || !entry.ExpiryNotEnforced:
	case entry.LatestExpiresAt.IsZero():
		// No bound was recorded. No lease is longer than the mount allows.
		latest = latest.Add(c.System().MaxLeaseTTL())
	case entry.LatestExpiresAt.After(latest):
		latest = entry.LatestExpiresAt
	}
	return latest
}

// hasExpired reports whether the age of a credential proves that it has ended. It is asked only where the vendor
// cannot be: a wall clock that has just jumped proves nothing.
func (c *Credentials) hasExpired(entry *ledger.Entry) bool {
	now := c.Clock.Now()
	return now.After(c.latestEnd(entry).Add(ExpiryGrace)) && c.clockIsSteady(now)
}

// deleteExpired deletes the entry of a credential that has ended by its age. An operator must learn of it where the
// vendor could have been asked, and may hold more than the ledger knows. config may be nil.
func (c *Credentials) deleteExpired(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config) (outcome, error) {
	result, err := c.deleteEntry(ctx, storage, entry, config)
	if err != nil {
		return result, err
	}
	record := logOf(entry, "state", entry.State)
	if entry.State == ledger.StateSearching || entry.ExpiryNotEnforced && entry.State != ledger.StateExpiring {
		c.Logger().Error("the vendor could not be asked to end a credential, since its config was moved or deleted; by its age it has ended: "+
			"search its marker at the vendor", append(record, "last_error", entry.LastError)...)
		return result, nil
	}
	c.Logger().Info("credential expired at the vendor", record...)
	return result, nil
}
