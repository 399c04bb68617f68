// Package fortianalyzer leases JSON-RPC sessions of FortiAnalyzer Cloud. With another client_id it also serves
// FortiManager Cloud.
//
// Sources: Fortinet, FortiAnalyzer Cloud Deployment, "Adding API users"; FortiCloud IAM, "Accessing FortiAPIs" and
// "Adding an API user"; FortiLAN Cloud User Guide, "API Users"; FortiAuthenticator REST API Solution Guide, for the
// software behind FortiCloud's OAuth server; the vendor's clients pyFMG, terraform-provider-fortimanager and the
// fortinet.fortianalyzer Ansible collection.
//
// A login uses two servers. FortiCloud's OAuth server exchanges the API user's password for an access token. The
// instance exchanges the access token for a session. The driver revokes the access token at once; the session stays
// valid. A session ends when it is not used for the instance's idle timeout. No answer contains that timeout, so the
// operator configures it.
package fortianalyzer

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// defaultMaxCredentials leaves two of the documented 20 sessions of an API user free: one for the engine's own checks
// and confirmations, see [connection.probe], and one for an operator.
const defaultMaxCredentials = 18

// New returns the provider of FortiAnalyzer Cloud.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider   = vendor{}
	_ provider.Connection = (*connection)(nil)
	_ provider.Renewer    = (*connection)(nil)
	_ provider.Revoker    = (*connection)(nil)
)

// vendor implements provider.Provider.
type vendor struct{}

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
		// One source names 100 requests a minute for each API user; see the vendor page.
		DefaultRequestsPerMinute: 90,
		AddressFields:            []string{fieldAuthAddress},
		RevocationNote:           "Revoking the lease logs the session out at the instance.",
		RotationNote: "Only the FortiCloud IAM portal can change the password of an API user: download the API user's credential file again, " +
			"which invalidates the old password at once, and write the new password to config/<name>.",
	}
}

func (vendor) Open(config provider.Config) (provider.Connection, error) {
	idle, err := idleTimeout(config.Fields)
	if err != nil {
		return nil, err
	}
	api, err := newClient(config)
	if err != nil {
		return nil, err
	}
	logger := config.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return &connection{api: api, idle: idle, logger: logger}, nil
}

// connection implements provider.Connection, provider.Renewer and provider.Revoker. It keeps no login of its own: each
// session is either leased or logged out by the call that opened it.
type connection struct {
	api    *client
	idle   time.Duration // the idle timeout of sessions
	logger hclog.Logger
}

// MaxLifetime returns the idle timeout. The vendor grants that time at the login and again with each use.
func (c *connection) MaxLifetime() time.Duration { return c.idle }

// Logout closes the HTTP connections. There is no login to end.
func (c *connection) Logout(context.Context) error {
	c.api.close()
	return nil
}

// Close closes the HTTP connections.
func (c *connection) Close() { c.api.close() }
