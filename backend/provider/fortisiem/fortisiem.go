// Package fortisiem exchanges the client id and secret of a FortiSIEM API token for short-lived access tokens.
//
// Sources: Fortinet, FortiSIEM 7.5.1 User Guide, "API Token"; the vendor's OpenAPI documents "FortiSIEM
// Public API" 7.5.1; public clients of that API (kboykov/n8n-nodes-fortisiem, ftnt-dspille/pyfsr,
// ftnt-dspille/fortinet-fortisiemv2).
//
// The lifetime of access tokens is set in the product's GUI for each client, and no request can change it. The
// product documents no call that ends or extends a token, or that changes a client. A question that the sources
// leave open, or on which they contradict each other, is a field of the config.
package fortisiem

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// New returns the provider of FortiSIEM.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider           = vendor{}
	_ provider.Connection         = (*connection)(nil)
	_ provider.Revoker            = (*connection)(nil)
	_ provider.ConditionalRevoker = (*connection)(nil)
)

// vendor implements provider.Provider.
type vendor struct{}

func (vendor) Name() string { return "fortisiem" }

func (vendor) Description() string {
	return "FortiSIEM 7.5.1 and later: OAuth access tokens of the public REST API"
}

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:          provider.RenewalNone,
		LifetimeByVendor: true,
		CheckIssues:      true, // each login is an access token
		// One token request every five seconds, and perhaps one token in all.
		SharesByDefault: true,
		Revokes:         true, // for configs with a revoke_url: see CanRevoke
		// The driver sends the client secret to token_path, and every leased access token to the others.
		AddressFields: []string{fieldTokenPath, fieldVerifyPath, fieldRevokeURL},
		RevocationNote: "FortiSIEM documents no call that ends an access token: without revoke_url in the config, " +
			"the token goes on working until expires_at when its lease ends.",
		ConfigExample: "address=siem.example client_id=CLIENT-ID client_secret=@client-secret",
		RotationNote: "Client secrets are reset in the FortiSIEM GUI only (Admin > Settings > System > API Token): " +
			"reset the secret there, or create a new client, and write client_id and client_secret to config/<name>.",
	}
}

func (vendor) ConfigFields() map[string]*framework.FieldSchema { return configFields() }

// RoleFields returns no fields, because a token request has no parameters.
func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{}
}

func (vendor) ValidateRole(*framework.FieldData) error { return nil }

func (vendor) Open(config provider.Config) (provider.Connection, error) {
	settings, err := parseSettings(config.Fields)
	if err != nil {
		return nil, err
	}
	http, err := httpclient.New(httpclient.FromConfig(config))
	if err != nil {
		return nil, err
	}
	revocation, err := openHook(config, http.BaseURL(), settings)
	if err != nil {
		http.Close()
		return nil, err
	}
	logger := config.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return &connection{
		clock:      config.Clock,
		settings:   settings,
		api:        &client{http: http, config: config.Name, settings: settings},
		revocation: revocation,
		limiter:    tokenLimiter{clock: config.Clock},
		spares:     spareTokens{store: config.Sessions, address: http.BaseURL(), clientID: settings.clientID, logger: logger},
		// A revocation does not need the client credentials, so it must not wait for them.
		refusals: config.AuthBackoff(refusalPause, refusalPause),
	}, nil
}

// connection implements provider.Connection. It has no login at the product, but keeps the token of its last check.
type connection struct {
	clock      provider.Clock
	settings   *settings
	api        *client
	revocation *hook // nil without revoke_url

	limiter  tokenLimiter
	spares   spareTokens
	refusals *provider.AuthBackoff // of the client credentials
}

// MaxLifetime is unknown: the lifetime is set in the GUI, and no call of the API returns it.
func (c *connection) MaxLifetime() time.Duration { return 0 }

// CanRevoke reports whether the config has a revoke_url.
func (c *connection) CanRevoke() bool { return c.revocation != nil }

// Logout ends the token of the last check, if no read has got it, and frees the HTTP connections.
func (c *connection) Logout(ctx context.Context) error {
	defer c.Close()
	return c.discardSpare(ctx)
}

// Close frees the HTTP connections.
func (c *connection) Close() {
	c.api.http.Close()
	if c.revocation != nil {
		c.revocation.http.Close()
	}
}
