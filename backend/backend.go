// Package backend is a Vault secrets engine that turns the root credentials of security vendors'
// products into leased ones. It knows Vault and no vendor: what a vendor can do is behind the
// contract in package provider, and which vendors there are stands in registry.go.
package backend

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/errutil"
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
	b := newBackend(options{providers: registry(), clock: provider.SystemClock{}, random: rand.Reader, breakerPause: breakerPause})
	if err := b.Setup(ctx, conf); err != nil {
		return nil, err
	}
	return b, nil
}

// options are what a test replaces.
type options struct {
	providers []provider.Provider
	clock     provider.Clock
	random    io.Reader
	// breakerPause is in real time, whatever the clock says.
	breakerPause time.Duration
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

	// lastReconciled tells when each config was last compared with its vendor. Only the periodic run uses it.
	lastReconciled map[string]time.Time
	// backoffs tells until when the periodic run leaves a config alone. Only the periodic run uses it.
	backoffUntil map[string]time.Time

	// rootBackoffUntil tells until when the periodic run leaves a config's root credential alone. Only it uses this.
	rootBackoffUntil map[string]time.Time
	roots            rootResolver

	// inFlight holds the ledger ids that a request of this process is issuing right now, which the
	// periodic run leaves alone.
	inFlight sync.Map

	// sensitive holds the names of all secrets of all vendors.
	sensitive map[string]bool

	mountID mountID
	metrics *metrics
}

func newBackend(opts options) *backend {
	b := &backend{
		providers:      make(map[string]provider.Provider, len(opts.providers)),
		clock:          opts.clock,
		random:         opts.random,
		ledger:         ledger.New(opts.clock.Now),
		configs:        newCache[configEntry](),
		roles:          newCache[roleEntry](),
		metrics:        newMetrics(),
		lastReconciled: make(map[string]time.Time),
		backoffUntil:   make(map[string]time.Time),

		rootBackoffUntil: make(map[string]time.Time),
		roots:            rootResolver{backoffs: make(map[string]rootBackoff)},

		shared: &sharedCredentials{byRole: make(map[string]*sharedCredential)},
	}
	b.lifetime, b.stop = context.WithCancel(context.Background())
	for _, p := range opts.providers {
		b.providers[p.Name()] = p
	}
	b.sensitive = b.sensitiveFields()
	b.connections = newConnections(b.openConnection, opts.breakerPause)
	b.Backend = &framework.Backend{
		Help:           strings.TrimSpace(backendHelp),
		BackendType:    logical.TypeLogical,
		RunningVersion: Version,
		PathsSpecial: &logical.Paths{
			SealWrapStorage: []string{configPrefix, sessionPrefix},
			LocalStorage:    []string{ledger.StoragePrefix, ledger.HolderPrefix, sessionPrefix, mountIDKey},
		},
		Paths: framework.PathAppend(
			b.pathInfo(),
			b.pathConfig(),
			b.pathRoles(),
			b.pathCreds(),
			b.pathMetrics(),
		),
		Secrets:        []*framework.Secret{b.secretCredential()},
		InitializeFunc: b.initialize,
		PeriodicFunc:   b.periodic,
		Invalidate:     b.invalidate,
		Clean:          b.clean,
	}
	return b
}

// HandleRequest contains a panic: it becomes an error of the request that met it. In a process that serves
// several mounts, it would otherwise end all of them.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if err := b.checkSecrets(req.Data); err != nil {
		return errorResponse(req.Path, err)
	}
	response, err := provider.CatchPanic("handling the request", func() (*logical.Response, error) { return b.Backend.HandleRequest(ctx, req) })
	if panicked, ok := errors.AsType[*provider.PanicError](err); ok {
		b.Logger().Error("a handler panicked", "operation", req.Operation, "path", req.Path, "reason", panicked.Reason, "stack", string(panicked.Stack))
		return nil, logical.CodedError(http.StatusInternalServerError, "a fault in the plugin ended this request; report it with the plugin's log of this moment")
	}
	return response, err
}

// HandleExistenceCheck comes before a write, and validates its fields too.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checkFound, exists bool, err error) {
	if err := b.checkSecrets(req.Data); err != nil {
		return false, false, errutil.UserError{Err: req.Path + ": " + err.Error()}
	}
	return b.Backend.HandleExistenceCheck(ctx, req)
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
		b.connections.detach(name)
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
		b.connections.detach(name)
		return
	}
	b.ledger.Invalidate(key)
}

// clean runs when the mount goes away, at a seal, a step-down, a plugin reload or an unmount. The
// engine's logins at the vendors are left in place: in the first three cases the next process goes on
// withRoot them from the session store, and after an unmount they end by themselves within the vendor's
// session life.
func (b *backend) clean(context.Context) {
	b.stop()
	b.connections.detachAll()
}

const backendHelp = `
The vendorauth secrets engine issues short-lived credentials for the APIs of
security vendors' products: Vault leases that end at the vendor too, wherever
the vendor lets them.

Store a product's root credential at config/<name>, name what applications may
have at roles/<name>, and let them read creds/<role>. The path "info" lists the
supported vendors and what each can do.
`
