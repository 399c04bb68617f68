// Package backend is a Vault secrets engine that turns the root credentials of security products into leased
// ones. It has the paths, and wires the packages below it together. It knows Vault and no vendor: a vendor's
// abilities are behind the contract in package provider, and registry.go lists the vendors.
package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/worker"
)

// Version is the plugin's semantic version, reported to Vault as the running version. The release
// build sets it with -ldflags -X.
var Version = "v0.1.0"

// Factory makes the backend of one mount. It makes no network call, so that Vault can also run the
// plugin in metadata mode, where it only asks for the plugin's type. It fails if VENDORAUTH_ALLOW_ADDRESSES or the proxy
// in the process's environment is malformed: Vault shows the error to the operator who enables the plugin.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	if conf == nil {
		return nil, errors.New("the backend was given no configuration")
	}
	allowed, err := provider.ParseAddressRanges(os.Getenv(provider.AllowAddressesVariable))
	if err != nil {
		return nil, fmt.Errorf("the plugin's environment variable %s: %w; register the plugin again with a correct -env", provider.AllowAddressesVariable, err)
	}
	if err := provider.CheckProxy(os.Getenv); err != nil {
		return nil, err
	}
	b := newBackend(options{
		providers: registry(), clock: failpoint.WallClock(provider.SystemClock{}), random: rand.Reader, breakerPause: pool.DefaultBreakerPause,
		revokePatience: defaultRevokePatience, systemMaxAge: defaultSystemMaxAge,
		allowAddresses: allowed,
	})
	if err := b.Setup(ctx, conf); err != nil {
		return nil, err
	}
	return b, nil
}

// options contains what a test replaces.
type options struct {
	providers []provider.Provider
	clock     provider.Clock
	random    io.Reader
	// breakerPause is in real time, whatever the clock says.
	breakerPause time.Duration
	// revokePatience is how long a revocation that Vault has begun waits for the vendor, in real time.
	revokePatience time.Duration
	// systemMaxAge is how long what Vault says about the system is used, in real time. Zero means that Vault is always asked.
	systemMaxAge time.Duration
	// retryWait is in real time too. Zero means the HTTP client's own.
	retryWait time.Duration
	// allowAddresses are the addresses that the plugin's environment lists.
	allowAddresses provider.AddressRanges
}

// backend is one mount. It owns the paths and wires the packages of the engine together.
type backend struct {
	*framework.Backend

	providers   map[string]provider.Provider
	clock       provider.Clock
	markers     *marker.Mount
	store       *store.Store
	ledger      *ledger.Ledger
	pool        *pool.Pool
	rotator     *rotation.Rotator
	credentials *lease.Credentials
	background  *background
	probes      probes
	heartbeat   heartbeat
	checks      checks
	// system is Vault's view of the system; nil before Setup.
	system *systemView
	// storage is the mount's, for its end; nil when Vault only asks what the plugin is.
	storage logical.Storage

	// deletions and leaseEnds are what the deletion of a config and the end of the mount must know.
	deletions deletions
	leaseEnds leaseEnds

	// lifetime is canceled by stop, when the process releases the mount. Work that outlives a request runs on it.
	// serving, which lifetime ends too, is canceled by stopServing before the last work of a mount that is unmounted:
	// nothing is issued or rotated any more, and what is left is revoked.
	lifetime, serving context.Context //nolint:containedctx // they belong to the mount, not to a request
	stop, stopServing context.CancelFunc

	// worker does the background work. It runs from the first initialize or periodic until clean.
	workerMutex sync.Mutex
	worker      *worker.Worker

	// systemMaxAge is that of the options.
	systemMaxAge time.Duration

	// sensitive holds the names of all secret fields of all vendors.
	sensitive map[string]bool
}

func newBackend(opts options) *backend {
	b := &backend{
		providers:  make(map[string]provider.Provider, len(opts.providers)),
		clock:      opts.clock,
		markers:    &marker.Mount{},
		store:      store.New(),
		background: newBackground(),

		systemMaxAge: opts.systemMaxAge,
	}
	for _, p := range opts.providers {
		b.providers[p.Name()] = p
	}
	b.sensitive = b.sensitiveFields()
	b.wire(opts)
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		PathsSpecial: &logical.Paths{
			Root:            []string{trustPrefix + "*", abandonPrefix + "*"},
			SealWrapStorage: []string{store.ConfigPrefix, pool.SessionPrefix, pool.SharedSessionPrefix},
			LocalStorage:    []string{ledger.StoragePrefix, ledger.HolderPrefix, pool.SessionPrefix, pool.SharedSessionPrefix, marker.StorageKey, store.HeartbeatKey, probePrefix},
		},
		Paths: b.withDocs(framework.PathAppend(
			b.pathCreds(), // first, since the patterns are tried in order for each request
			b.pathInfo(),
			b.pathConfig(),
			b.pathTrust(),
			b.pathRoles(),
			b.pathMetrics(),
		)),
		Secrets:        []*framework.Secret{b.secretCredential()},
		InitializeFunc: b.initialize,
		PeriodicFunc:   b.periodic,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
	}
	return b
}

// wire creates the engine's packages and gives each the functions that it needs from the others.
func (b *backend) wire(opts options) {
	b.lifetime, b.stop = context.WithCancel(context.Background())
	b.serving, b.stopServing = context.WithCancel(b.lifetime)
	logger := func() hclog.Logger { return b.Logger() }
	b.ledger = ledger.New(ledger.Options{Now: opts.clock.Now, Lifetime: b.lifetime, Schedule: lease.Schedule})
	b.pool = pool.New(pool.Options{
		Providers: b.providers, Clock: b.clock, Logger: logger,
		UserAgent: "vault-plugin-secrets-vendorauth/" + Version, BreakerPause: opts.breakerPause, RetryWait: opts.retryWait,
		CountActive: b.ledger.Used, AllowAddresses: opts.allowAddresses, Stored: b.store.Config,
	})
	b.rotator = rotation.New(rotation.Options{
		Lifetime: b.lifetime, Store: b.store, Pool: b.pool, Markers: b.markers, Providers: b.providers,
		Clock: b.clock, Random: opts.random, Logger: logger, SendEvent: b.sendEvent,
		Passwords: func() rotation.PasswordGenerator { return b.System() },
		Recheck: func(ctx context.Context, storage logical.Storage, name string, config *store.Config) (int, error) {
			return b.credentials.Recheck(ctx, storage, name, config)
		},
	})
	b.credentials = lease.New(lease.Options{
		Lifetime: b.serving, Ledger: b.ledger, Store: b.store, Pool: b.pool, Markers: b.markers,
		Acquire: b.rotator.Acquire, Providers: b.providers, Clock: b.clock, Random: opts.random, Logger: logger,
		System: func() logical.SystemView { return b.System() }, SendEvent: b.sendEvent, GapAt: b.gapAt,
		RevokePatience: opts.revokePatience, UnmountPatience: unmountPatience,
		Unmounting: func() bool { return b.System().Tainted() }, Drained: b.deleteRetired,
	})
}

// initialize runs after an unseal, a mount or a plugin's restart. Vault holds back all requests of the mount
// until it returns, so it only starts the worker and the load of the ledger. A panic of one step does not end the process,
// and with it the other mounts: the periodic function starts the worker too, and a request loads what it needs of the
// ledger. Vault logs the error, or does not enable a new mount.
func (b *backend) initialize(_ context.Context, req *logical.InitializationRequest) error {
	b.leaseEnds.begin(true) // until it is known: a mount that may be sealed revokes no root credential
	return errors.Join(
		b.containStep("initialize: read the state of the mount", func() { b.leaseEnds.begin(b.System().Tainted()) }),
		b.containStep("initialize: start the background work", func() { b.startWorker(req.Storage) }),
		b.containStep("initialize: load the ledger", func() { b.ledger.Preload(req.Storage) }),
		b.containStep("initialize: log", func() { b.Logger().Debug("initialized", "version", Version) }),
	)
}

// invalidate drops what is in memory about a key that another node wrote.
//
// Only a panic of a driver is contained, by the pool. Another one ends the process, which is the safe outcome: a config or
// role would stay in memory that is not the stored one any more, and the engine would use a root credential that was replaced, or
// serve a role that allowed_roles excludes. Vault starts the process again, with nothing in memory.
func (b *backend) invalidate(_ context.Context, key string) {
	if name, ok := strings.CutPrefix(key, store.ConfigPrefix); ok {
		b.store.InvalidateConfig(name)
		b.pool.Detach(name)
		b.checks.forget(name)
		b.credentials.ForgetCheck(name)
		return
	}
	if name, ok := strings.CutPrefix(key, store.RolePrefix); ok {
		b.store.InvalidateRole(name)
		b.credentials.ForgetRole(name)
		return
	}
	if rest, ok := strings.CutPrefix(key, pool.SessionPrefix); ok {
		// The connection has a login in memory that another node has replaced.
		name, _, _ := strings.Cut(rest, "/")
		b.pool.Detach(name)
		return
	}
	if strings.HasPrefix(key, pool.SharedSessionPrefix) {
		b.pool.DetachAll() // the key does not tell which configs share the login
		return
	}
	b.ledger.Invalidate(key)
}

// clean runs when the mount goes away: at a seal, a step-down, a plugin reload or an unmount. After the first three,
// the engine's logins at the vendors stay open, and the next process continues with them from the session store.
// An unmount ends them. A panic of one step ends neither the next steps nor the process: the mount is going away, so nothing
// uses what the step has left, and the process may serve other mounts.
func (b *backend) clean(ctx context.Context) {
	for _, step := range []struct {
		name string
		run  func()
	}{
		{"stop serving", b.stopServing},
		{"stop the revocations", b.credentials.Stop},
		{"stop the probes", b.probes.stop},
		{"unmount", func() {
			if b.isUnmounting() {
				b.stopWorker()
				b.unmount(ctx, b.leaseEnds.limits())
			}
		}},
		{"end the lifetime", func() { b.stop() }},
		{"stop the background work", b.stopWorker},
		{"close the connections", b.pool.Close},
	} {
		_ = b.containStep("clean: "+step.name, step.run) // it is logged, and Vault expects no error
	}
}

const backendHelp = `
The vendorauth secrets engine issues short-lived credentials for the APIs of
security products. They are Vault leases that end at the vendor too, wherever
the vendor supports it.

Store a product's root credential at config/<name>, describe what applications
may get at roles/<name>, and let them read creds/<role>. The path "info" lists
the supported vendors and what each can do.
`
