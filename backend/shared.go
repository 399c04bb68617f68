package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// issueTimeout bounds an issue that many readers wait for. It runs on a context of none of them.
	issueTimeout = 75 * time.Second

	// attachAttempts is how often a reader looks for a credential to share. Each failure means that the
	// last holder of the one it had found went in that very moment.
	attachAttempts = 5
)

// sharedCredential is a credential that several leases hold, as it stands in memory.
type sharedCredential struct {
	shareKey string
	entryID  string
	issuedAt time.Time
	// expiresAt is the vendor's end, and lifeEndsAt the last moment to which renewals may move it.
	expiresAt, lifeEndsAt time.Time
	payload               sharedPayload
}

// sharedPayload is what each reader gets. It is stored with the account, so that later readers get it too,
// also after a restart.
type sharedPayload struct {
	Token     string         `json:"token"`
	TokenType string         `json:"token_type"`
	Address   string         `json:"address"`
	Data      map[string]any `json:"data,omitempty"`
	Warnings  []string       `json:"warnings,omitempty"`
}

// idle is how long the credential can still serve a lease.
func (s *sharedCredential) remaining(now time.Time) time.Duration { return s.lifeEndsAt.Sub(now) }

// canServe reports whether a new lease of the given TTL fits into the credential's life. A credential that was
// born shorter than the TTL, since not every vendor lets the caller choose, serves for half its life.
func (s *sharedCredential) canServe(ttl time.Duration, now time.Time) bool {
	need := ttl
	if whole := s.lifeEndsAt.Sub(s.issuedAt); whole <= ttl {
		need = whole / 2
	}
	return s.remaining(now) >= need
}

// sharedCredentials keeps the credential that the readers of each role share at the moment. A credential
// whose role was changed or deleted, or that has become too short, is replaced here and drains: it lives on
// retryAt its last holder has gone.
type sharedCredentials struct {
	flights singleflight.Group

	mu     sync.Mutex
	byRole map[string]*sharedCredential
}

func (s *sharedCredentials) get(role, shareKey string) *sharedCredential {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.byRole[role]
	if current == nil || current.shareKey != shareKey {
		return nil
	}
	return current
}

func (s *sharedCredentials) set(role string, current *sharedCredential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byRole[role] = current
}

// actionDelete drops a role's credential, or, when an entry is named, only if it is that one.
func (s *sharedCredentials) forget(role, entryID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if current := s.byRole[role]; current != nil && (entryID == "" || current.entryID == entryID) {
		delete(s.byRole, role)
	}
}

// forgetEntry drops a credential that has ended, whoever's it is.
func (s *sharedCredentials) forgetEntry(entryID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for role, current := range s.byRole {
		if current.entryID == entryID {
			delete(s.byRole, role)
		}
	}
}

// attachShared gives a reader a part in the role's credential. One storage write, and no vendor call unless there is
// no credential yet or it has become too short.
func (b *backend) attachShared(ctx context.Context, storage logical.Storage, o issueParams) (*sharedCredential, string, error) {
	holder, err := newID(b.random)
	if err != nil {
		return nil, "", err
	}
	for range attachAttempts {
		shared := b.shared.get(o.roleName, o.shareKey())
		if shared == nil || !shared.canServe(o.lifetimes.TTL, b.clock.Now()) || !b.coversTTL(shared, o) {
			if shared, err = b.acquireShared(ctx, storage, o); err != nil {
				return nil, "", err
			}
		}
		err = b.ledger.Attach(ctx, storage, o.role.Config, shared.entryID, holder, b.clock.Now().Add(o.lifetimes.TTL))
		if err == nil {
			failpoint("share.attached")
			return shared, holder, nil
		}
		if !errors.Is(err, ledger.ErrDraining) {
			return nil, "", err
		}
		b.shared.forget(o.roleName, shared.entryID)
	}
	return nil, "", &provider.Error{
		Class: provider.ClassUnavailable, Message: "the shared credential was ended again and again while it was being read",
	}
}

// coversTTL reports whether the vendor's end of a credential covers a new lease as it is, without moving it.
func (b *backend) coversTTL(shared *sharedCredential, o issueParams) bool {
	return o.vendor.Capabilities().Renewal != provider.RenewalExtends ||
		shared.expiresAt.Sub(b.clock.Now()) >= min(o.lifetimes.TTL, shared.remaining(b.clock.Now()))
}

// acquireShared finds the role's credential, moves its end, or issues a new one: once for all readers that
// come at the same time. A reader that gives up does not take it from the others.
func (b *backend) acquireShared(ctx context.Context, storage logical.Storage, o issueParams) (*sharedCredential, error) {
	key := o.shareKey()
	landed := b.shared.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(b.lifetime, issueTimeout)
		defer cancel()
		// The flight outlives the reader that began it, and so does its use of the connection.
		if !o.conn.retain() {
			return nil, &provider.Error{Class: provider.ClassUnavailable, Message: "the config has just been changed", Remedy: "read again"}
		}
		defer o.conn.release()
		return provider.CatchPanic("issue shared", func() (any, error) { return b.renewOrIssue(ctx, storage, o, key) })
	})
	select {
	case result := <-landed:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*sharedCredential), nil
	case <-ctx.Done():
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Message: "the caller gave up while a shared credential was being issued", Err: ctx.Err(),
		}
	}
}

// renewOrIssue is the flight of acquireShared.
func (b *backend) renewOrIssue(ctx context.Context, storage logical.Storage, o issueParams, key string) (*sharedCredential, error) {
	shared := b.shared.get(o.roleName, key)
	if shared == nil {
		found, err := b.lookupShared(ctx, storage, o, key)
		if err != nil {
			return nil, err
		}
		shared = found
	}
	if shared != nil && shared.canServe(o.lifetimes.TTL, b.clock.Now()) {
		if b.coversTTL(shared, o) {
			b.shared.set(o.roleName, shared)
			return shared, nil
		}
		moved, err := b.extendShared(ctx, storage, o, shared)
		if err == nil {
			return moved, nil
		}
		if provider.ClassOf(err) != provider.ClassNotFound {
			return nil, err
		}
	}

	made, err := b.issue(ctx, storage, o)
	if err != nil {
		return nil, err
	}
	shared, err = decodeShared(made.entry)
	if err != nil {
		return nil, err
	}
	b.shared.set(o.roleName, shared)
	return shared, nil
}

// lookupShared looks into the ledger for the newest credential of this share key: after a restart, memory has
// forgotten it.
func (b *backend) lookupShared(ctx context.Context, storage logical.Storage, o issueParams, key string) (*sharedCredential, error) {
	entries, err := b.ledger.List(ctx, storage, o.role.Config)
	if err != nil {
		return nil, err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		if entries[i].ShareKey != key || entries[i].State != ledger.StateLive {
			continue
		}
		held, err := b.ledger.HasHolders(ctx, storage, entries[i].ID)
		if err != nil {
			return nil, err
		}
		if !held {
			continue
		}
		entry, err := b.ledger.Get(ctx, storage, o.role.Config, entries[i].ID)
		if err != nil || entry == nil {
			return nil, err
		}
		return decodeShared(entry)
	}
	return nil, nil
}

// extendShared renews the credential at a vendor that moves the end, so that a new lease fits.
func (b *backend) extendShared(ctx context.Context, storage logical.Storage, o issueParams, shared *sharedCredential) (*sharedCredential, error) {
	entry, err := b.ledger.Get(ctx, storage, o.role.Config, shared.entryID)
	if err != nil {
		return nil, err
	}
	if entry != nil && (entry.State != ledger.StateLive || b.checkOrigin(entry, o.config) != nil) {
		entry = nil
	}
	driver, ok := o.conn.Connection.(provider.Renewer)
	if entry == nil || !ok {
		return nil, &provider.Error{Class: provider.ClassNotFound, Message: "the shared credential has ended"}
	}
	if err := b.extendExpiry(ctx, storage, entry, b.renewFuncOf(o.conn, o.config.Vendor, driver), o.lifetimes.TTL); err != nil {
		if provider.ClassOf(err) == provider.ClassNotFound {
			b.unshare(ctx, storage, entry)
		}
		return nil, err
	}
	moved := *shared
	moved.expiresAt = entry.ExpiresAt
	b.shared.set(o.roleName, &moved)
	return &moved, nil
}

// extendExpiry makes sure that a shared credential works for a lease of the given TTL from now, and never takes
// from the life that others count on.
func (b *backend) extendExpiry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, renew renewFunc, ttl time.Duration) error {
	now := b.clock.Now()
	lifetime := max(min(ttl, entry.MaxExpiresAt.Sub(now))+lifetimeMargin, entry.ExpiresAt.Sub(now))
	expiresAt, err := renew(ctx, entry.Handle, lifetime.Truncate(time.Second))
	if err != nil {
		return err
	}
	for !expiresAt.Equal(entry.ExpiresAt) {
		entry.ExpiresAt = expiresAt
		err := b.ledger.Update(ctx, storage, entry)
		if !errors.Is(err, ledger.ErrChanged) {
			return err
		}
		// Other holders renew at the same time; or the last one has gone.
		current, err := b.ledger.Get(ctx, storage, entry.Config, entry.ID)
		if err != nil {
			return err
		}
		if current == nil || current.State != ledger.StateLive {
			return errRevoked
		}
		*entry = *current
		if !entry.ExpiresAt.Before(expiresAt) {
			return nil
		}
	}
	return nil
}

// unshare gives a credential that the vendor has ended to no more readers. Its holders learn of it when
// they renew.
func (b *backend) unshare(ctx context.Context, storage logical.Storage, entry *ledger.Entry) {
	b.shared.forgetEntry(entry.ID)
	entry.ShareKey = ""
	if err := b.ledger.Update(context.WithoutCancel(ctx), storage, entry); err != nil {
		b.Logger().Warn("a shared credential that has died could not be taken out of use", "config", entry.Config, "id", entry.ID, "error", err)
	}
}

// encodeShared is what an account keeps of a shared credential for later readers.
func encodeShared(credential *provider.Credential) (json.RawMessage, error) {
	encoded, err := json.Marshal(sharedPayload{
		Token: credential.Token, TokenType: credential.TokenType, Address: credential.Address,
		Data: credential.Data, Warnings: credential.Warnings,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the shared credential: %w", err)
	}
	return encoded, nil
}

// decodeShared decodes a shared credential from its account.
func decodeShared(entry *ledger.Entry) (*sharedCredential, error) {
	shared := &sharedCredential{
		shareKey: entry.ShareKey, entryID: entry.ID, issuedAt: entry.CreatedAt,
		expiresAt: entry.ExpiresAt, lifeEndsAt: entry.MaxExpiresAt,
	}
	if err := json.Unmarshal(entry.Shared, &shared.payload); err != nil {
		return nil, fmt.Errorf("decoding the shared credential %s: %w", entry.ID, err)
	}
	return shared, nil
}

// credential is what one reader gets.
func (s *sharedCredential) credential() *provider.Credential {
	return &provider.Credential{
		Token: s.payload.Token, TokenType: s.payload.TokenType, Address: s.payload.Address,
		Data: s.payload.Data, Warnings: s.payload.Warnings, ExpiresAt: s.expiresAt,
	}
}
