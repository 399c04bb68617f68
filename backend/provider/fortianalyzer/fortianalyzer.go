// Package fortianalyzer leases JSON-RPC sessions of FortiAnalyzer Cloud. With another client_id it also serves
// FortiManager Cloud.
//
// Sources: Fortinet, FortiAnalyzer Cloud Deployment, "Adding API users"; FortiCloud IAM, "Accessing FortiAPIs" and
// "Adding an API user"; FortiLAN Cloud User Guide, "API Users"; FortiAuthenticator REST API Solution Guide, for the
// software behind FortiCloud's OAuth server; the vendor's clients pyFMG, terraform-provider-fortimanager and the
// fortinet.fortianalyzer Ansible collection.
//
// A login uses two servers. FortiCloud's OAuth server exchanges the API user's password for an access token. The
// instance exchanges the access token for a session. A session ends when it is not used for the instance's idle timeout.
// No answer contains that timeout, so the operator configures it.
//
// FortiCloud locks an account out after repeated password grants, as the vendor's own connector reports. So all configs of
// an API user share one access token, which opens all sessions; see [account]. Sessions outlive their access token, and
// renewing and revoking need the session only.
package fortianalyzer

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// maxSessions is the documented default of login-max, the number of sessions of an API user at an instance.
	maxSessions = 20

	// defaultMaxCredentials leaves two sessions free: one for the engine's own checks and confirmations, see
	// [connection.probe], and one for an operator.
	defaultMaxCredentials = maxSessions - 2
)

// New returns the provider of FortiAnalyzer Cloud. Connections that it opens share their access tokens.
func New() provider.Provider { return vendor{&sharedState{}} }

var (
	_ provider.Provider   = vendor{}
	_ provider.Connection = (*connection)(nil)
	_ provider.Renewer    = (*connection)(nil)
	_ provider.Revoker    = (*connection)(nil)
)

// vendor implements provider.Provider.
type vendor struct{ shared *sharedState }

// sharedState is what the connections of a mount share. The zero value is ready to use.
type sharedState struct {
	accounts accounts
	// probes is held while a session of the engine's own exists in addition to the leased ones, so that an API user
	// has at most one of them at an instance.
	probes keyedSemaphore
}

func (vendor) Name() string { return "fortianalyzer" }

func (vendor) Description() string {
	return "FortiAnalyzer Cloud (and FortiManager Cloud, by client_id): JSON-RPC sessions"
}

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:               provider.RenewalExtends,
		Revokes:               true,
		MaxLifetime:           maxIdleTimeout,
		DefaultMaxCredentials: defaultMaxCredentials,
		MaxCredentials:        maxSessions - 1,
		// One source names 100 requests a minute for each API user; see the vendor page.
		DefaultRequestsPerMinute: 90,
		AddressFields:            []string{fieldAuthAddress},
		AccountFields:            []string{fieldAuthAddress, fieldUsername, fieldClientID},
		RevocationNote:           "Revoking the lease logs the session out at the instance.",
		CredentialFields: map[string]*framework.FieldSchema{
			"session": {Type: framework.TypeString, Required: true, Description: "The session, which is also the token.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
			"url":     {Type: framework.TypeString, Required: true, Description: "URL of the JSON-RPC API."},
		},
		ConfigExample: "address=1234567.eu-west-1.fortianalyzer.forticloud.com username=API-USER-ID password=@password",
		RotationNote: "Only the FortiCloud IAM portal can change the password of an API user: download the API user's credential file again, " +
			"which invalidates the old password at once, and write the new password to config/<name>.",
	}
}

func (v vendor) Open(config provider.Config) (provider.Connection, error) {
	idle, err := idleTimeout(config.Fields)
	if err != nil {
		return nil, err
	}
	api, err := newClient(config)
	if err != nil {
		return nil, err
	}
	c := &connection{
		api: api, idle: idle, id: config.ConnectionID, shared: v.shared, clock: config.Clock, logger: config.Logger,
		password:         passwordDigest(api.username, api.password),
		rejectedPassword: config.AuthBackoff(rejectedPasswordBackoff, maxRejectedPasswordBackoff),
	}
	if c.clock == nil {
		c.clock = provider.SystemClock{}
	}
	if c.logger == nil {
		c.logger = hclog.NewNullLogger()
	}
	key := api.accountKey()
	trust := trustOf(config)
	c.account, c.backoffs = v.shared.accounts.attach(key, c.id, trust, func() *tokenStore {
		store := &tokenStore{account: key.String(), timeout: api.oauth.RequestTimeout(), logger: c.logger}
		if config.Shared != nil {
			store.store = config.Shared(key.String())
		}
		return store
	})
	c.detach = sync.OnceFunc(func() { v.shared.accounts.detach(key, c.id, trust) })
	return c, nil
}

// connection implements provider.Connection, provider.Renewer and provider.Revoker. Each session is either leased or
// logged out by the call that opened it.
type connection struct {
	api    *client
	id     string        // of the connection, see [provider.Config]
	idle   time.Duration // the idle timeout of sessions
	clock  provider.Clock
	logger hclog.Logger

	shared   *sharedState
	account  *account
	backoffs *grantBackoffs // the account's, for the trust of this connection
	detach   func()         // ends the use of account
	password string         // the digest of the password

	rejectedPassword *provider.AuthBackoff
	proofs           proofs
}

// MaxLifetime returns the idle timeout. The vendor grants that time at the login and again with each use.
func (c *connection) MaxLifetime() time.Duration { return c.idle }

// Logout revokes the account's access token, if no other config uses it, and closes the connection.
func (c *connection) Logout(ctx context.Context) error {
	defer c.Close()
	return c.account.leave(ctx, c)
}

// Close closes the HTTP connections. The access token stays stored for the next connection.
func (c *connection) Close() {
	c.detach()
	c.api.close()
}
