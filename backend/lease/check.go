package lease

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// LoginFunc makes a real login with a root credential.
type LoginFunc func(ctx context.Context) (*provider.CheckResult, error)

// Check makes a login with the root credential of a config, stored or about to be. Where that creates a credential at
// the vendor, the ledger has an intent before it and the credential after it, until it expires or a reader gets it: id is
// its ID then, and empty otherwise. Errors are those of login, and storage errors.
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
	if c.Providers[config.Vendor].Capabilities().LifetimeByVendor { // otherwise no reader gets it
		c.checked.put(entry.Config, entry.ID, issued.Handle)
	}
}

// endCheck deletes the entry of the last check of a config if its credential is the one that was leased now: a driver may
// keep the credential of a check for the next reader. Then the reader's entry records it.
func (c *Credentials) endCheck(ctx context.Context, storage logical.Storage, config string, leased *provider.Credential) {
	entry, ok := c.checked.take(config, leased.Handle)
	if !ok {
		return
	}
	if err := c.Ledger.Remove(context.WithoutCancel(ctx), storage, config, entry); err != nil {
		c.Logger().Warn("the entry of a check whose credential is leased could not be deleted; it expires",
			"config", config, "credential_id", entry, "error", err)
	}
}

// ForgetCheck drops what is in memory about the last check of a config that is deleted.
func (c *Credentials) ForgetCheck(config string) {
	c.checked.keep(func(name string) bool { return name != config })
}

// KeepChecks drops what is in memory about the last checks of configs that do not exist any more.
func (c *Credentials) KeepChecks(exists func(name string) bool) { c.checked.keep(exists) }

// checkedSet holds the entry of each existing config's last check that has created a credential, with a digest of its
// handle. It is in memory only: after a restart or a failover, the entry stays in the ledger until the credential
// expires. The zero value is ready for use. It is safe for concurrent use.
type checkedSet struct {
	mu       sync.Mutex
	byConfig map[string]checkedEntry
}

// checkedEntry is the entry of a check. The handle itself can hold the token.
type checkedEntry struct {
	id     string
	handle [sha256.Size]byte
}

func (s *checkedSet) put(config, entry string, handle json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byConfig == nil {
		s.byConfig = make(map[string]checkedEntry)
	}
	s.byConfig[config] = checkedEntry{entry, sha256.Sum256(handle)}
}

// keep drops the entries of all configs that kept does not accept.
func (s *checkedSet) keep(kept func(config string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byConfig, func(config string, _ checkedEntry) bool { return !kept(config) })
}

// take removes and returns the entry of a config's check whose credential has this handle.
func (s *checkedSet) take(config string, handle json.RawMessage) (entry string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	checked, known := s.byConfig[config]
	if !known || checked.handle != sha256.Sum256(handle) {
		return "", false
	}
	delete(s.byConfig, config)
	return checked.id, true
}
