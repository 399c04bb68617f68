// Package trend leases API keys of Trend Micro Deep Security Manager, and of legacy accounts of Cloud One
// Workload Security, which have the same API.
//
// Sources: Trend Micro, "Create and Manage API Keys" and "Authenticate with Deep Security Manager";
// Workload Security, "Create an API Key Using Code" for sessions; the API reference, tags API Keys and
// Administrator Roles; the vendor's Python SDK for shapes; "API Rate Limits". Recorded exchanges of public
// clients for real answers.
//
// A key is made with one management key and has an expiryDate, which the management key can move, and so a
// renewal is a real extension. A key cannot move its own. The manager's clock decides when a key ends; see
// [managerClock].
package trend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"golang.org/x/sync/singleflight"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// basePath is where the API lies on every manager.
const basePath = "/api"

// tokenType is the name of the header that takes the secret, since it is no bearer token.
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
	_ provider.RootRotator   = (*connection)(nil)
)

type vendor struct{}

func (vendor) Name() string { return "trend" }

func (vendor) Description() string {
	return "Trend Micro Deep Security, and Workload Security for legacy accounts: API keys"
}

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:        provider.RenewalExtends,
		Revokes:        true,
		Marker:         "keyName",
		RevocationNote: "Revoking the lease deletes the API key at the manager.",
		RotatesRoot:    true,
		RotationNote: "Writing to config/<name>/rotate-root makes another API key of the same role and expiry, " +
			"then deletes the old one.",
	}
}

func (vendor) ValidateRole(role *framework.FieldData) error {
	_, err := parseRole(role)
	return err
}

func (vendor) Open(config provider.Config) (provider.Connection, error) {
	root, err := parseRoot(config.Fields)
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
	if root.once == nil {
		api.login = keyLogin(root.apiKey)
	}
	return &connection{root: root, api: api, clock: clock, refusals: provider.AuthBackoff{Initial: refusalPause}}, nil
}

// connection implements provider.Connection. It has no login at the manager: every request carries the
// management key. One that was opened with a login to make that key with can do nothing else.
type connection struct {
	root  rootCredential
	api   *client
	clock provider.Clock

	refusals provider.AuthBackoff // of the management key
	first    singleflight.Group   // the first request; see hello
}

// MaxLifetime is zero: no limit on expiryDate is documented.
func (c *connection) MaxLifetime() time.Duration { return 0 }

// checkUsable tells why the manager is not to be asked now, or returns nil.
func (c *connection) checkUsable(op string) error {
	if c.root.once != nil {
		return &provider.Error{
			Class: provider.ClassInvalid, Op: op, Field: fieldAPIKey,
			Message: "the config holds a login to make a management API key with, and no key yet",
		}
	}
	return c.refusals.Err(c.clock.Now())
}

// handshake asks the manager who the management key is, before anything else is asked on a connection: the answer
// tells the manager's time, by which a key's expiry is set. However many callers there are at first, they
// share one request, so that a key that is refused is tried once.
func (c *connection) handshake(ctx context.Context) error {
	if c.api.clock.known() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return errCanceled(err)
	}
	// The first caller's giving up must not cost the others their answer; the client bounds the request.
	detached := context.WithoutCancel(ctx)
	flight := c.first.DoChan("", func() (any, error) {
		return provider.CatchPanic(opCurrent, func() (any, error) {
			_, err := c.api.current(detached)
			return nil, c.classifyCurrent(err)
		})
	})
	select {
	case landed := <-flight:
		return landed.Err
	case <-ctx.Done():
		return errCanceled(ctx.Err())
	}
}

// Logout frees the HTTP connections. There is nothing to log out: a key needs no login, and no call is
// documented that ends the session of a bootstrap, which ends by the manager's idle timeout.
func (c *connection) Logout(context.Context) error {
	c.api.http.Close()
	return nil
}

// Close frees the HTTP connections.
func (c *connection) Close() { c.api.http.Close() }
