package pool

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Options are what a pool needs of the engine.
type Options struct {
	// Providers are the vendors by name.
	Providers map[string]provider.Provider
	// Clock tells the time.
	Clock provider.Clock
	// Logger returns the mount's logger. It is a function because Vault sets the logger after the mount was
	// made.
	Logger func() hclog.Logger
	// UserAgent is the User-Agent header of all requests.
	UserAgent string
	// CountActive returns the number of a config's credentials that are live or being issued. Optional.
	CountActive func(ctx context.Context, storage logical.Storage, config string) (int, error)
	// AllowAddresses are the addresses that the plugin's environment lists; see provider.Config.
	AllowAddresses provider.AddressRanges
	// Stored returns a config as it is stored now, or nil if there is none. It makes no network call. Optional: without it,
	// each config that a caller names counts as stored.
	Stored func(ctx context.Context, storage logical.Storage, config string) (*store.Config, error)
	// BreakerPause is how long an open circuit breaker waits before it lets one call through, in real time.
	BreakerPause time.Duration
	// RetryWait is the wait before the first repetition of a request, in real time. Zero means the HTTP client's own.
	RetryWait time.Duration
}

// Open opens a connection for a config. It makes no network call, and the connection does not become the
// config's. An error is ClassInvalid and names the field.
func (p *Pool) Open(storage logical.Storage, name string, entry *store.Config) (provider.Connection, error) {
	return p.openAfter(storage, name, nil, entry)
}

// OpenNext is Open for a config that is about to replace the present one, which can be nil. The connection may use the
// present one's login at the vendor, where logins are limited, if it sends it to the same place.
func (p *Pool) OpenNext(storage logical.Storage, name string, present, next *store.Config) (provider.Connection, error) {
	if present != nil && !p.sameDestination(present, next) {
		present = nil
	}
	return p.openAfter(storage, name, present, next)
}

// OpenTrusted is OpenNext for a config that differs from the present one in its trust only, when a privileged operator
// vouches for the new trust. The connection may use the present one's login. Otherwise its own login could be one more
// than the vendor allows, and end the login of another user.
func (p *Pool) OpenTrusted(storage logical.Storage, name string, present, next *store.Config) (provider.Connection, error) {
	return p.openAfter(storage, name, present, next)
}

// openAfter opens a connection that may use the login of its predecessor, which can be nil.
func (p *Pool) openAfter(storage logical.Storage, name string, predecessor, entry *store.Config) (provider.Connection, error) {
	vendor, ok := p.options.Providers[entry.Vendor]
	if !ok {
		return nil, &provider.Error{
			Class:   provider.ClassInvalid,
			Field:   "vendor",
			Message: fmt.Sprintf("this version of the plugin does not support the vendor %q", entry.Vendor),
		}
	}
	paced := p.auth.pacedOf(entry)
	config := provider.Config{
		Name:           name,
		Address:        entry.Address,
		CACert:         entry.CACert,
		TLSServerName:  entry.TLSServerName,
		TLSSkipVerify:  entry.TLSSkipVerify,
		RequestTimeout: entry.RequestTimeout,
		MaxRetries:     entry.MaxRetries,
		RetryWait:      p.options.RetryWait,
		Fields:         &framework.FieldData{Raw: entry.Fields, Schema: vendor.ConfigFields()},
		ConnectionID:   entry.ConnectionID,
		Sessions:       newSessionStore(storage, name, entry.ConnectionID),
		Shared:         func(key string) provider.SessionStore { return newSharedStore(storage, entry.Vendor, key) },
		Logger:         p.options.Logger().Named(entry.Vendor).With("config", name),
		Clock:          p.options.Clock,
		UserAgent:      p.options.UserAgent,
		AllowAddresses: p.options.AllowAddresses,
		Guard: &guard{
			breakers: p.breakers, pacer: func() *pacer { return p.pacers.get(paced, entry.RequestsPerMinute) },
			observeWait: func(waited time.Duration) { p.Metrics.ObservePacing(name, entry.Vendor, waited) },
		},
		Auth: rootMemory{memory: p.auth, key: p.auth.rootOf(entry), config: name},
	}
	if predecessor != nil && predecessor.ConnectionID != entry.ConnectionID {
		config.Predecessor = newSessionStore(storage, name, predecessor.ConnectionID)
	}
	if count := p.options.CountActive; count != nil {
		config.CountActive = func(ctx context.Context) (int, error) { return count(ctx, storage, name) }
	}
	// A panic would leave the pool locked.
	return provider.CatchPanic(entry.Vendor+": open", func() (provider.Connection, error) { return vendor.Open(config) })
}

// RefreshLimit applies the rate limit of a config, as it is stored now, to its root credential. Where several configs have the
// same one, the smallest limit counts. The limit of a config that does not exist is forgotten.
//
// It looks at the stored config again afterwards: of two writes, the one that stored its config first may arrive here last. It
// takes ten seconds at most, also after ctx has ended.
func (p *Pool) RefreshLimit(ctx context.Context, storage logical.Storage, name string) {
	if p.options.Stored == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storedTimeout)
	defer cancel()
	entry, err := p.options.Stored(ctx, storage, name)
	for err == nil {
		if entry == nil {
			p.pacers.forget(name)
		} else {
			p.setLimit(name, entry)
		}
		applied := entry
		if entry, err = p.options.Stored(ctx, storage, name); err == nil && sameRevision(applied, entry) {
			return
		}
	}
	// The storage fails. The worker's next turn for the config repeats this.
}

// sameRevision reports whether two states of a config are the same one. Nil stands for a config that does not exist.
func sameRevision(a, b *store.Config) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Revision == b.Revision
}

func (p *Pool) setLimit(name string, entry *store.Config) {
	p.pacers.setLimit(name, p.auth.pacedOf(entry), entry.RequestsPerMinute)
}

// KeepLimits forgets the rate limits of configs that do not exist. It looks again at those for which exists reports false: one
// may have been created since.
func (p *Pool) KeepLimits(ctx context.Context, storage logical.Storage, exists func(name string) bool) {
	for _, name := range p.pacers.configs() {
		if !exists(name) {
			p.RefreshLimit(ctx, storage, name)
		}
	}
}

// sameDestination reports whether two configs send secrets to the same place, protected in the same way.
func (p *Pool) sameDestination(a, b *store.Config) bool {
	vendor := p.options.Providers[b.Vendor]
	return vendor != nil && a.Origin(vendor) == b.Origin(vendor) && a.CACert == b.CACert && a.TLSServerName == b.TLSServerName &&
		a.TLSSkipVerify == b.TLSSkipVerify
}

// DeleteSessions deletes the stored logins of a config that is deleted.
func DeleteSessions(ctx context.Context, storage logical.Storage, config string) error {
	if err := logical.ClearView(ctx, logical.NewStorageView(storage, SessionPrefix+config+"/")); err != nil {
		return fmt.Errorf("deleting the sessions of config %q: %w", config, err)
	}
	return nil
}
