// Package lease issues, shares, renews and revokes the credentials of a mount. It keeps the ledger true to
// what the vendors have: an intent before a credential, an entry while it lives, and a retry until a
// revocation is confirmed. It knows nothing of paths and fields, and never deletes a config.
package lease

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Types of the events about credentials. Metadata: config, role, credential_id, marker where the vendor has one, and
// for a failure attempts and next_attempt_at.
const (
	// EventCreateUnknown: the vendor's answer to an issue was lost, and the marker of the credential is
	// searched.
	EventCreateUnknown = "vendorauth/creds-create-unknown"
	// EventRevoke: the vendor has confirmed that a credential has ended, for a lease or in the background.
	EventRevoke = "vendorauth/creds-revoke"
	// EventRevokeFail: a credential should have ended and has not.
	EventRevokeFail = "vendorauth/creds-revoke-fail"
	// EventAbandon: an operator gave up a credential that may live on at the vendor; with expires_at.
	EventAbandon = "vendorauth/creds-abandon"
	// EventOrphansFound: the vendor lists credentials of this mount that are not in the ledger.
	EventOrphansFound = "vendorauth/orphans-found"
)

// cleanupTimeout bounds the work after a failure, on a context that outlives the request.
const cleanupTimeout = 30 * time.Second

// AcquireFunc returns a config and its connection, which the caller must release.
type AcquireFunc func(ctx context.Context, storage logical.Storage, config string) (*store.Config, *pool.Conn, error)

// Options are what Credentials needs of the engine.
type Options struct {
	// Lifetime ends when the mount stops serving. Work for several requests runs under it, and nothing is issued after it.
	Lifetime context.Context //nolint:containedctx // the mount's own, not a request's
	// Ledger, Store, Pool and Markers are the mount's.
	Ledger  *ledger.Ledger
	Store   *store.Store
	Pool    *pool.Pool
	Markers *marker.Mount
	// Acquire is the one way to a connection on behalf of a credential.
	Acquire AcquireFunc
	// Providers are the vendors by name.
	Providers map[string]provider.Provider
	// Clock and Random are the mount's.
	Clock  provider.Clock
	Random io.Reader
	// System and Logger return what Vault sets only after the mount was made.
	System func() logical.SystemView
	Logger func() hclog.Logger
	// GapAt returns when the last gap in the mount's heartbeat ended, or the zero time. Optional.
	GapAt func(ctx context.Context, storage logical.Storage) (time.Time, error)
	// RevokePatience is how long Vault's request to revoke a lease waits for the vendor and for its turn, in real time.
	RevokePatience time.Duration
	// UnmountPatience is how long it waits while the mount is being unmounted: Vault gives an unmount up with the first
	// revocation that fails, and repeats none. Unmounting reports whether that is so.
	UnmountPatience time.Duration
	Unmounting      func() bool
	// Drained deletes a retired config after the revocation of its last credential.
	Drained func(storage logical.Storage, config string)
	// SendEvent sends an event. It does not fail.
	SendEvent func(ctx context.Context, kind string, metadata ...string)
}

// Credentials keeps the credentials of one mount. It is safe for concurrent use.
type Credentials struct {
	Options
	shared sharedSet
	turns  turns

	// revocations are those that are running.
	revocations *revocations

	// checked holds the entries of the last checks that have created a credential, by config.
	checked checkedSet

	// inFlight holds the ids that a request of this process is issuing at this moment. Sweeps skip them.
	inFlight sync.Map

	// usedHere holds the ids of the shared credentials of which a client has got or renewed a lease in this process.
	usedHere sync.Map

	// reported holds the ids of unreadable entries that were reported.
	reported sync.Map

	// watch tells whether the wall clock can be trusted.
	watch clockWatch
}

// New returns the credentials of a mount.
func New(options Options) *Credentials {
	c := &Credentials{Options: options, shared: newSharedSet(), revocations: newRevocations()}
	if clock, ok := options.Clock.(monotonic); ok {
		c.watch.steady(options.Clock.Now(), clock.Elapsed()) // the first look: the clock may be wrong after a boot
	}
	return c
}

// ForgetRole drops what is in memory about the credential that a role's readers share, after the role has
// changed. The credential lives on until its last holder leaves.
func (c *Credentials) ForgetRole(role string) { c.shared.forgetRole(role) }
