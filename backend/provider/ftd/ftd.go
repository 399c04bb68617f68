// Package ftd leases custom tokens of the on-box REST API of Cisco Secure Firewall Threat Defense (FTD). A device
// has this API when its own device manager (FDM) manages it.
//
// A connection keeps one password login at the device, see [sessionCache], and uses it to issue and to revoke
// custom tokens. The lifetime of a custom token is fixed when the token is issued.
//
// Sources: Cisco, "Authenticating Your REST API Client Using OAuth"; the FTD API reference of version 6 for
// the maxima; the device's OpenAPI document of version 2 for shapes and statuses; "Overview of the API Client
// Authentication Process" for the limit of five sessions.
package ftd

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// maxLifetime is the documented maximum of desired_expires_in. The device's reaction to a higher value is
	// not documented, so the driver never sends one.
	maxLifetime = 31_536_000 * time.Second

	// maxSessions is the number of sessions that a device allows at the same time, by the vendor's guide. Logins
	// to the web interface and API tokens count together. One more session silently ends the oldest.
	maxSessions = 5

	// defaultMaxCredentials leaves two sessions free: one for the engine's login and one for a person.
	defaultMaxCredentials = maxSessions - 2
)

// New returns the provider of Cisco FTD. It is safe for concurrent use.
func New() provider.Provider { return NewWithRandom(rand.Reader) }

// NewWithRandom is [New] with another source of random bytes, which must be safe for concurrent use. The driver
// makes subjects from them that no custom token has, see [provider.MarkerRevoker].
func NewWithRandom(random io.Reader) provider.Provider {
	return vendor{random: random, guards: newSessionGuards()}
}

var (
	_ provider.Provider      = vendor{}
	_ provider.Connection    = (*connection)(nil)
	_ provider.Renewer       = (*connection)(nil)
	_ provider.Revoker       = (*connection)(nil)
	_ provider.MarkerRevoker = (*connection)(nil)
	_ provider.Lister        = (*connection)(nil)
	_ provider.RootRotator   = (*connection)(nil)
)

// vendor implements [provider.Provider].
type vendor struct {
	random io.Reader
	guards *sessionGuards
}

// Name implements [provider.Provider].
func (vendor) Name() string { return "ftd" }

// Description implements [provider.Provider].
func (vendor) Description() string {
	return "Cisco Secure Firewall Threat Defense, managed on the box (FDM): custom API tokens"
}

// Capabilities implements [provider.Provider].
func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:               provider.RenewalWithinLife,
		Revokes:               true,
		Marker:                "desired_subject",
		MaxLifetime:           maxLifetime,
		DefaultMaxCredentials: defaultMaxCredentials,
		MaxCredentials:        maxSessions - 1, // the engine's login takes one
		RevocationNote:        "Revoking the lease ends the custom token at the device.",
		RotatesRoot:           true,
		CredentialFields: map[string]*framework.FieldSchema{
			"subject": {Type: framework.TypeString, Required: true, Description: "Subject of the token, which the device shows as its user. It contains the marker."},
		},
		ConfigExample: "address=firewall.example username=vault password=@password",
		RotationNote: "Write config/<name>/rotate-root to change the user's password at the device, which may end tokens that are already leased; " +
			"if an external server keeps the password, change it there and write it to config/<name>.",
	}
}

// Open implements [provider.Provider].
func (v vendor) Open(config provider.Config) (provider.Connection, error) {
	fields, err := parseFields(config.Fields)
	if err != nil {
		return nil, err
	}
	web, err := httpclient.New(httpclient.FromConfig(config))
	if err != nil {
		return nil, err
	}
	logger := config.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	clock := config.Clock
	if clock == nil {
		clock = provider.SystemClock{}
	}
	api := &client{
		http: web, config: config.Name,
		version: fields.apiVersion, username: fields.username, password: fields.password,
	}
	storeOf := func(store provider.SessionStore) sessionStore {
		return sessionStore{
			store: store, address: web.BaseURL(), username: fields.username, timeout: web.RequestTimeout(), logger: logger,
		}
	}
	guard, release := v.guards.of(web.BaseURL())
	return &connection{
		api:            api,
		passwordPolicy: fields.passwordPolicy,
		random:         v.random,
		guard:          guard,
		releaseGuard:   release,
		logger:         logger,
		sessions: &sessionCache{
			api: api, clock: clock, logger: logger, countActive: config.CountActive,
			store: storeOf(config.Sessions), predecessor: storeOf(config.Predecessor),
			refusedLogins: config.AuthBackoff(refusedBackoff, refusedBackoff),
			lostLogins:    provider.AuthBackoff{Initial: refusedBackoff, Max: maxLostBackoff},
		},
	}, nil
}

// connection implements [provider.Connection].
type connection struct {
	api            *client
	sessions       *sessionCache
	guard          *sessionGuard
	releaseGuard   func()
	passwordPolicy string
	random         io.Reader
	logger         hclog.Logger
}

// MaxLifetime implements [provider.Connection].
func (c *connection) MaxLifetime() time.Duration { return maxLifetime }

// Close implements [provider.Connection]. The engine's login stays in the session store for the next connection.
func (c *connection) Close() {
	c.releaseGuard()
	c.api.http.Close()
}
