package lease

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// LoginFunc makes a real login with a root credential.
type LoginFunc func(ctx context.Context) (*provider.CheckResult, error)

// Check makes a login with the root credential of a config, stored or about to be. Where that creates a credential at
// the vendor, the ledger has an intent before it and the credential after it, until it expires: id is its ID then, and
// empty otherwise. Where the vendor alone decides how long it lives, it is the next credential that a reader of the
// config gets. Errors are those of login, and storage errors.
func (c *Credentials) Check(ctx context.Context, storage logical.Storage, name string, config *store.Config, by ledger.Requester, login LoginFunc) (
	checked *provider.CheckResult, id string, err error,
) {
	vendor := c.Providers[config.Vendor]
	if !vendor.Capabilities().CheckIssues {
		checked, err = login(ctx)
		return checked, "", err
	}
	if id, err = marker.NewID(c.Random); err != nil {
		return nil, "", err
	}
	c.inFlight.Store(id, struct{}{})
	defer c.inFlight.Delete(id)
	now := c.Clock.Now()
	entry, err := c.Ledger.Reserve(ctx, storage, ledger.Intent{
		ID: id, Config: name, UID: config.UID, Origin: config.Origin(vendor), Requester: by, Check: true,
		// How long it lives is known only from the answer.
		ExpiresAt: now.Add(IssueDeadline + c.System().MaxLeaseTTL()), LeaseExpiresAt: now,
	})
	if err != nil {
		return nil, "", withRemedy(err)
	}
	checked, err = login(ctx)
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	switch {
	case checked != nil && checked.Issued != nil:
		c.recordChecked(cleanup, storage, entry, config, checked.Issued)
	case err != nil && !provider.ClassOf(err).Definite():
		entry.State, entry.LastError = ledger.StateExpiring, lastError(err)
		if updateErr := c.Ledger.Update(cleanup, storage, entry); updateErr != nil {
			c.Logger().Warn("a check whose answer was lost could not be recorded", logOf(entry, "error", updateErr)...)
		}
	default:
		id = ""
		if removeErr := c.Ledger.Remove(cleanup, storage, name, entry.ID); removeErr != nil {
			c.Logger().Warn("an intent could not be deleted", logOf(entry, "error", removeErr)...)
		}
	}
	return checked, id, err
}

// recordChecked records the credential that a check has created. If that fails, the intent stays, and expires.
func (c *Credentials) recordChecked(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *store.Config, issued *provider.Credential) {
	entry.State, entry.Handle, entry.ExpiresAt = ledger.StateExpiring, issued.Handle, issued.ExpiresAt
	if err := c.Ledger.Update(ctx, storage, entry); err != nil {
		c.Logger().Warn("the credential of a check could not be recorded", logOf(entry, "error", err)...)
		return
	}
	if c.Providers[config.Vendor].Capabilities().LifetimeByVendor {
		c.checked.put(entry.Config, checkedCredential{
			connectionID: config.ConnectionID, entryID: entry.ID, issuedAt: entry.CreatedAt, credential: issued,
		})
	}
}

// create returns the credential of the config's last check, or asks the vendor for another one.
func (c *Credentials) create(ctx context.Context, storage logical.Storage, p issueParams, entry *ledger.Entry) (*provider.Credential, error) {
	kept, ok := c.checked.take(p.Role.Config, p.config.ConnectionID)
	if !ok || !kept.canServe(p.lifetimes.TTL, c.Clock.Now()) {
		return c.callIssue(ctx, storage, p, entry)
	}
	// From here on, the reader's entry records it.
	if err := c.Ledger.Remove(context.WithoutCancel(ctx), storage, p.Role.Config, kept.entryID); err != nil {
		c.Logger().Warn("the entry of a check whose credential is leased could not be deleted; it expires",
			"config", p.Role.Config, "credential_id", kept.entryID, "error", err)
	}
	return kept.credential, nil
}

// checkedCredential is a credential that a check has created, as Issue would return it.
type checkedCredential struct {
	// connectionID is that of the config with which it was created.
	connectionID string
	entryID      string
	issuedAt     time.Time
	credential   *provider.Credential
}

// canServe reports whether a lease of the given TTL may begin on the credential: if it lives that long, or for at
// least half of its life.
func (k checkedCredential) canServe(ttl time.Duration, now time.Time) bool {
	life := k.credential.ExpiresAt.Sub(k.issuedAt)
	return k.credential.ExpiresAt.Sub(now)-lifetimeMargin >= min(ttl, life/2)
}

// checkedSet holds the last credential that a check of each config has created. It is in memory only: after a restart
// or a failover, such a credential expires without a lease. The zero value is ready for use. It is safe for concurrent
// use.
type checkedSet struct {
	mu       sync.Mutex
	byConfig map[string]checkedCredential
}

func (s *checkedSet) put(config string, kept checkedCredential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byConfig == nil {
		s.byConfig = make(map[string]checkedCredential)
	}
	s.byConfig[config] = kept
}

// take removes and returns the credential of a config, if it was created with these settings.
func (s *checkedSet) take(config, connectionID string) (checkedCredential, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.byConfig[config]
	delete(s.byConfig, config)
	return kept, ok && kept.connectionID == connectionID
}
