// Package rotation owns the root credential of each config: it rotates it, finds out which one the vendor
// accepts after an interruption, creates one from a login that is used once, and hands out connections only
// when the root credential is known. It knows nothing of leased credentials.
package rotation

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// EventRotate is sent when a config's root credential was rotated.
	EventRotate = "vendorauth/root-rotate"
	// EventRotateFail is sent when a rotation failed. With a rotation window, it is sent when the window has passed
	// without a rotation.
	EventRotateFail = "vendorauth/root-rotate-fail"
	// EventExpiring is sent once a day while a root credential expires within provider.RootExpiryNotice, or has expired.
	EventExpiring = "vendorauth/root-expiring"
	// EventRevokeFail is sent when a config was deleted and its root credential, which only Vault knew, could not be
	// revoked.
	EventRevokeFail = "vendorauth/root-revoke-fail"
)

const (
	// exclusiveTimeout bounds how long a rotation waits for running requests while it holds back new ones.
	exclusiveTimeout = 30 * time.Second

	// cleanupTimeout bounds the work after a failure, on a context that outlives the request.
	cleanupTimeout = 30 * time.Second
)

// PasswordGenerator makes passwords by Vault's password policies. Vault's system view is one.
type PasswordGenerator interface {
	GeneratePasswordFromPolicy(ctx context.Context, policy string) (string, error)
}

// RecheckFunc checks the credentials of a config that a rotation may have ended, and returns how many of them
// have ended.
type RecheckFunc func(ctx context.Context, storage logical.Storage, name string, config *store.Config) (ended int, err error)

// Options are what a Rotator needs of the engine.
type Options struct {
	// Lifetime ends with the process's hold on the mount. Work for several requests runs under it.
	Lifetime context.Context //nolint:containedctx // the mount's own, not a request's
	// Store, Pool and Markers are the mount's.
	Store   *store.Store
	Pool    *pool.Pool
	Markers *marker.Mount
	// Providers are the vendors by name.
	Providers map[string]provider.Provider
	// Clock and Random are the mount's.
	Clock  provider.Clock
	Random io.Reader
	// Passwords and Logger return what Vault sets only after the mount was made.
	Passwords func() PasswordGenerator
	Logger    func() hclog.Logger
	// SendEvent sends an event. It does not fail.
	SendEvent func(ctx context.Context, kind string, metadata ...string)
	// Recheck is called after a rotation that may have ended credentials.
	Recheck RecheckFunc
}

// Rotator owns the root credentials of one mount. It is safe for concurrent use.
type Rotator struct {
	Options
	resolver resolver
}

// New returns a Rotator.
func New(options Options) *Rotator {
	return &Rotator{Options: options, resolver: resolver{backoffs: make(map[string]rootBackoff)}}
}

// Rotate replaces a config's root credential by a new one, and returns warnings for the operator. No request
// uses the config while it runs: the change may end the config's login, and a second attempt with the previous
// password can lock the account at the vendor. The previous root credential may remain to be revoked; see
// RevokePrevious.
func (r *Rotator) Rotate(ctx context.Context, storage logical.Storage, name string) ([]string, error) {
	// First complete what an earlier rotation has left: its previous root credential would be forgotten.
	if err := r.RevokePrevious(ctx, storage, name); err != nil {
		return nil, err
	}
	seen, err := r.Store.Config(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	if seen == nil {
		return nil, store.Conflict(name)
	}
	if err := r.checkRotatable(ctx, storage, name, seen); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, exclusiveTimeout)
	defer cancel()
	conn, release, err := r.Pool.AcquireExclusive(waiting, storage, name, seen)
	if err != nil {
		return nil, err
	}
	defer release()
	entry, err := store.ReadConfig(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	// A previous root credential that another rotation has just left would be forgotten.
	if entry == nil || entry.Revision != seen.Revision || entry.Root.Previous != nil {
		return nil, store.Conflict(name)
	}
	rotator, ok := conn.Connection.(provider.RootRotator)
	if !ok {
		return nil, fmt.Errorf("the vendor's connection %T cannot rotate although its capabilities say so", conn.Connection)
	}
	return (&replacement{Rotator: r, storage: storage, name: name, conn: conn, rotator: rotator}).run(ctx, entry)
}

// checkRotatable refuses a rotation that the vendor or the config does not allow.
func (r *Rotator) checkRotatable(ctx context.Context, storage logical.Storage, name string, entry *store.Config) error {
	switch can := r.Providers[entry.Vendor].Capabilities(); {
	case !can.RotatesRoot:
		return &provider.Error{
			Class: provider.ClassInvalid, Message: fmt.Sprintf("the API of vendor %q cannot replace the root credential", entry.Vendor),
			Remedy: can.RotationNote,
		}
	case entry.Retired:
		return &provider.Error{Class: provider.ClassInvalid, Message: "the config is retired"}
	}
	return r.ensureRootNotShared(ctx, storage, name, entry)
}

// ensureRootNotShared refuses to rotate a root credential that another config of the mount uses too: that
// config would be locked out, and could not even revoke what it has issued.
func (r *Rotator) ensureRootNotShared(ctx context.Context, storage logical.Storage, name string, entry *store.Config) error {
	names, err := r.Store.ConfigNames(ctx, storage)
	if err != nil {
		return err
	}
	for _, other := range names {
		config, err := r.Store.Config(ctx, storage, other)
		if err != nil {
			return err
		}
		vendor := r.Providers[entry.Vendor]
		if other == name || config == nil || config.Vendor != entry.Vendor ||
			provider.CanonicalAddress(vendor, config.Address) != provider.CanonicalAddress(vendor, entry.Address) {
			continue
		}
		for field, schema := range vendor.ConfigFields() {
			if store.IsSensitive(schema) && entry.Fields[field] != nil && entry.Fields[field] == config.Fields[field] {
				return &provider.Error{
					Class: provider.ClassInvalid, Message: fmt.Sprintf("config %q has the same root credential, and would be locked out", other),
					Remedy: "give each config its own root credential first",
				}
			}
		}
	}
	return nil
}

// RevokePrevious revokes the previous root credential and rechecks the credentials that its rotation may have
// ended. It does not sweep the ledger: sweeping acquires the connection, and a caller that already holds it
// would block the next rotation.
func (r *Rotator) RevokePrevious(ctx context.Context, storage logical.Storage, name string) error {
	entry, conn, err := r.Acquire(ctx, storage, name)
	if err != nil {
		return err
	}
	defer conn.Release()
	if entry.Root.Previous == nil && !entry.Root.RecheckCredentials {
		return nil
	}
	if entry.Root.RecheckCredentials {
		if _, err := r.Recheck(ctx, storage, name, entry); err != nil {
			return err
		}
	}
	if entry.Root.Previous != nil {
		revoker, ok := conn.Connection.(provider.Revoker)
		if !ok {
			return fmt.Errorf("the vendor's connection %T has left a previous root credential and cannot revoke it", conn.Connection)
		}
		err := r.Pool.Call(ctx, conn, entry.Vendor, pool.OperationRevoke, func(ctx context.Context) error { return revoker.Revoke(ctx, entry.Root.Previous) })
		if err != nil {
			return fmt.Errorf("revoking the previous root credential: %w", err)
		}
		failpoint.Hit("rotate.ended")
	}
	completed := *entry
	completed.Root.Previous, completed.Root.RecheckCredentials = nil, false
	return r.Store.CompareAndSwapConfig(ctx, storage, name, entry, &completed)
}
