// Package trend leases API keys of Trend Micro Deep Security Manager. Two other products have the same API:
// legacy accounts of Cloud One Workload Security, and Server & Workload Protection of Trend Vision One.
//
// The driver creates the leased keys with a management key. Each leased key has an expiryDate. A key cannot
// change its own expiryDate, but the management key can, so a renewal extends the key itself. The manager's
// clock decides when a key expires; see [managerClock].
//
// Sources: Trend Micro, "Create and Manage API Keys" and "Authenticate with Deep Security Manager";
// Workload Security, "Create an API Key Using Code" for sessions; the API reference, tags API Keys and
// Administrator Roles; the vendor's Python SDK for the shapes; "API Rate Limits"; recorded exchanges of public
// clients for real responses.
package trend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// basePath is the path of the API on every manager.
const basePath = "/api"

// tokenType is the name of the header that carries the secret of a key. The secret is not a bearer token.
const tokenType = "api-secret-key"

// New returns the provider of Trend Micro Deep Security and Workload Security.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider      = vendor{}
	_ provider.Connection    = (*connection)(nil)
	_ provider.Renewer       = (*connection)(nil)
	_ provider.Revoker       = (*connection)(nil)
	_ provider.MarkerRevoker = (*connection)(nil)
	_ provider.Lister        = (*connection)(nil)
	_ provider.Bootstrapper  = (*connection)(nil)
	_ provider.RoleChecker   = (*connection)(nil)
	_ provider.RootRotator   = (*connection)(nil)
)

type vendor struct{}

func (vendor) Name() string { return "trend" }

func (vendor) Description() string {
	return "Trend Micro Deep Security, and Workload Security for legacy accounts: API keys"
}

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal: provider.RenewalExtends,
		// By default the manager allows 500 requests a minute for each key.
		DefaultRequestsPerMinute: 450,
		Revokes:                  true,
		Marker:                   "keyName",
		Alternatives: []provider.Alternative{
			{Fields: []string{fieldRoleID}, Replaces: []string{fieldRoleName}},
			{Fields: []string{fieldRoleName}, Replaces: []string{fieldRoleID}},
			{Fields: loginFields, Replaces: []string{fieldAPIKey, fieldAPIKeyID}},
		},
		RevocationNote:    "Revoking the lease deletes the API key at the manager.",
		ReportsRootExpiry: true,
		RotatesRoot:       true,
		CredentialFields: map[string]*framework.FieldSchema{
			"api_key_id":  {Type: framework.TypeInt, Required: true, Description: "ID of the key at the manager."},
			"key_name":    {Type: framework.TypeString, Required: true, Description: "Name of the key at the manager, which is the marker."},
			"api_version": {Type: framework.TypeString, Required: true, Description: "Value for the header api-version."},
		},
		ConfigExample: "address=https://manager.example:4119/api api_key=@api-key ca_cert=@manager.pem",
		RoleExample:   "role_name=Auditor",
		RotationNote: "Writing to config/<name>/rotate-root creates a new API key with the same role and expiry, " +
			"then deletes the previous one.",
	}
}

// Open returns a connection. An address without a path gets the path of the API.
func (vendor) Open(config provider.Config) (provider.Connection, error) {
	root, err := parseRoot(config.Fields)
	if err != nil {
		return nil, err
	}
	allowed, err := parseAllowedRoles(config.Fields)
	if err != nil {
		return nil, err
	}
	base, err := httpclient.ParseAddress(config.Address)
	if err != nil {
		return nil, err
	}
	if base.Path == "" {
		base.Path = basePath
	}
	options := httpclient.FromConfig(config)
	options.Address = base.String()
	http, err := httpclient.New(options)
	if err != nil {
		return nil, err
	}
	clock := config.Clock
	if clock == nil {
		clock = provider.SystemClock{}
	}
	api := &client{http: http, config: config.Name, clock: &managerClock{local: clock}}
	if root.bootstrap == nil {
		api.auth = keyAuth(root.apiKey)
	}
	return &connection{
		root: root, allowed: allowed, api: api, clock: clock,
		backoff: config.AuthBackoff(rejectedKeyBackoff, rejectedKeyBackoff),
		roleIDs: roleIDs{clock: clock},
	}, nil
}

// connection implements provider.Connection. It has no login at the manager: every request carries the
// management key. A connection that was opened with a bootstrap login can only create that key.
type connection struct {
	root    rootCredential
	allowed allowedRoles
	api     *client
	clock   provider.Clock

	backoff *provider.AuthBackoff // of the management key
	flights singleflight.Group    // see shareFlight
	tenant  tenant
	roleIDs roleIDs
}

// MaxLifetime returns zero: the vendor documents no limit of expiryDate.
func (c *connection) MaxLifetime() time.Duration { return 0 }

// checkUsable returns an error if the connection has no management key yet, or if the manager rejected the key
// a short time ago. It sends no request.
func (c *connection) checkUsable(op string) error {
	if c.root.bootstrap != nil {
		return &provider.Error{
			Class: provider.ClassInvalid, Op: op, Field: fieldAPIKey,
			Message: "the config holds a login that creates a management API key, and no key yet",
		}
	}
	return c.backoff.Err(c.clock.Now())
}

// Logout frees the HTTP connections. A key needs no login, so there is no session to end. The vendor documents
// no call that ends the session of a bootstrap: it ends by the manager's idle timeout.
func (c *connection) Logout(context.Context) error {
	c.api.http.Close()
	return nil
}

// Close frees the HTTP connections.
func (c *connection) Close() { c.api.http.Close() }
