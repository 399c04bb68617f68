// Package backend is a Vault secrets engine that turns the root credentials of security vendors'
// products into leased ones. It knows Vault and no vendor: what a vendor can do is behind the
// contract in package provider, and which vendors there are stands in registry.go.
package backend

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Version is the plugin's semantic version, reported to Vault as the running version. The release
// build sets it with -ldflags -X.
var Version = "v0.1.0"

// Factory makes the backend of one mount. It makes no network call, so that Vault can also run the
// plugin in metadata mode, just to ask what it is.
func Factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	if conf == nil {
		return nil, errors.New("the backend was given no configuration")
	}
	b := newBackend(options{providers: registry(), clock: provider.SystemClock{}, random: rand.Reader})
	if err := b.setup(ctx, conf); err != nil {
		return nil, err
	}
	return b, nil
}

// options are what a test replaces.
type options struct {
	providers []provider.Provider
	clock     provider.Clock
	random    io.Reader
}

// backend is one mount.
type backend struct {
	*framework.Backend

	providers   map[string]provider.Provider
	clock       provider.Clock
	random      io.Reader
	ledger      *ledger.Ledger
	connections *connections
	configs     *cache[configEntry]
	roles       *cache[roleEntry]
	shared      *sharedCredentials

	// lifetime ends with the process's hold on the mount; stop ends it. What goes on beyond a request runs
	// under it.
	lifetime context.Context //nolint:containedctx // the mount's own, not a request's
	stop     context.CancelFunc

	// writeMutex serialises the read-merge-store of configs and roles. No vendor is called under it.
	writeMutex sync.Mutex

	// inFlight holds the ledger ids that a request of this process is issuing right now, which the
	// periodic run leaves alone.
	inFlight sync.Map

	// mountTag is the part of every marker that tells this mount from others.
	mountTag string
}

func newBackend(opts options) *backend {
	b := &backend{
		providers: make(map[string]provider.Provider, len(opts.providers)),
		clock:     opts.clock,
		random:    opts.random,
		ledger:    ledger.New(opts.clock.Now),
		configs:   newCache[configEntry](),
		roles:     newCache[roleEntry](),
		shared:    &sharedCredentials{byRole: make(map[string]*sharedCredential)},
	}
	b.lifetime, b.stop = context.WithCancel(context.Background())
	for _, p := range opts.providers {
		b.providers[p.Name()] = p
	}
	b.connections = newConnections(b.openConnection)
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		PathsSpecial: &logical.Paths{
			SealWrapStorage: []string{configPrefix, sessionPrefix},
			LocalStorage:    []string{ledger.StoragePrefix, ledger.HolderPrefix, sessionPrefix},
		},
		Paths: framework.PathAppend(
			b.pathInfo(),
			b.pathConfig(),
			b.pathRoles(),
			b.pathCreds(),
		),
		Secrets:        []*framework.Secret{b.secretCredential()},
		InitializeFunc: b.initialize,
		PeriodicFunc:   b.periodic,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
	}
	return b
}

func (b *backend) setup(ctx context.Context, conf *logical.BackendConfig) error {
	sum := sha256.Sum256([]byte(conf.BackendUUID))
	b.mountTag = hex.EncodeToString(sum[:4])
	return b.Setup(ctx, conf)
}

// initialize runs after an unseal, a mount or a plugin's restart. The ledger is read by the first
// periodic run and not here: Vault holds back all requests of the mount until this returns.
func (b *backend) initialize(context.Context, *logical.InitializationRequest) error {
	b.Logger().Debug("initialized", "version", Version)
	return nil
}

// invalidate drops what is in memory about a key that another node wrote.
func (b *backend) invalidate(_ context.Context, key string) {
	if name, ok := strings.CutPrefix(key, configPrefix); ok {
		b.configs.forget(name)
		b.connections.abandon(name)
		return
	}
	if name, ok := strings.CutPrefix(key, rolePrefix); ok {
		b.roles.forget(name)
		b.shared.forget(name, "")
		return
	}
	if rest, ok := strings.CutPrefix(key, sessionPrefix); ok {
		// The connection has a login in memory that another node has replaced.
		name, _, _ := strings.Cut(rest, "/")
		b.connections.abandon(name)
		return
	}
	b.ledger.Invalidate(key)
}

// clean runs when the mount goes away, at a seal, a step-down, a plugin reload or an unmount. The
// engine's logins at the vendors are left in place: in the first three cases the next process goes on
// with them from the session store, and after an unmount they end by themselves within the vendor's
// session life.
func (b *backend) clean(context.Context) {
	b.stop()
	b.connections.abandonAll()
}

const backendHelp = `
The vendorauth secrets engine issues short-lived credentials for the APIs of
security vendors' products: Vault leases that end at the vendor too, wherever
the vendor lets them.

Store a product's root credential at config/<name>, name what applications may
have at roles/<name>, and let them read creds/<role>. The path "info" lists the
supported vendors and what each can do.
`
