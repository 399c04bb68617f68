// Package ftd leases custom tokens of the on-box REST API of Cisco Secure Firewall Threat Defense, as it is
// managed by the device manager (FDM).
//
// Sources: Cisco, "Authenticating Your REST API Client Using OAuth"; the FTD API reference of version 6 for
// the maxima; the device's OpenAPI document of version 2 for shapes and statuses; "Overview of the API Client
// Authentication Process" for the limit of five sessions.
//
// One password login of ours is kept for each connection, see [sessionCache]; with it, custom tokens are
// made and revoked. A custom token's life is fixed when it is made.
package ftd

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	fieldUsername       = "username"
	fieldPassword       = "password"
	fieldPasswordPolicy = "password_policy"
	fieldAPIVersion     = "api_version"

	// maxLifetime is the documented maximum of desired_expires_in. What the device does above it is not
	// documented, so nothing above it is ever asked for.
	maxLifetime = 31_536_000 * time.Second

	// deviceSessions is how many sessions a device has at once, by the vendor's guide: logins to its web interface
	// and tokens of the API together. It silently ends the oldest for one more.
	deviceSessions = 5

	// defaultMaxCredentials leaves two of them: one for our own login, one for a person.
	defaultMaxCredentials = deviceSessions - 2
)

// New returns the provider of Cisco FTD.
func New() provider.Provider { return NewWithRandom(rand.Reader) }

// NewWithRandom is New with another source of random bytes, which must be safe for concurrent use. They name
// something that cannot exist at the device; see [provider.MarkerRevoker].
func NewWithRandom(random io.Reader) provider.Provider { return vendor{random} }

var (
	_ provider.Provider      = vendor{}
	_ provider.Connection    = (*connection)(nil)
	_ provider.Renewer       = (*connection)(nil)
	_ provider.Revoker       = (*connection)(nil)
	_ provider.MarkerRevoker = (*connection)(nil)
	_ provider.Lister        = (*connection)(nil)
	_ provider.RootRotator   = (*connection)(nil)
)

type vendor struct{ random io.Reader }

func (vendor) Name() string { return "ftd" }

func (vendor) Description() string {
	return "Cisco Secure Firewall Threat Defense, managed on the box (FDM): custom API tokens"
}

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:               provider.RenewalWithinLife,
		Revokes:               true,
		Marker:                "desired_subject",
		MaxLifetime:           maxLifetime,
		DefaultMaxCredentials: defaultMaxCredentials,
		RevocationNote:        "Revoking the lease ends the custom token at the device.",
		RotatesRoot:           true,
		RotationNote: "Write config/<name>/rotate-root: it changes the user's password at the device, with which tokens leased before may end; " +
			"where an external server keeps the password, change it there and write it to config/<name>.",
	}
}

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldUsername: {
			Type:         framework.TypeString,
			Description:  "User that logs in to the device. Its role is the role of every token that is leased.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "User name"},
		},
		fieldPassword: {
			Type:         framework.TypeString,
			Description:  "Password of that user.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password", Sensitive: true},
		},
		fieldPasswordPolicy: {
			Type: framework.TypeString,
			Description: "Vault password policy by which rotate-root makes the next password; without one, 32 random characters. " +
				"The device's own rules are not documented.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password policy"},
		},
		fieldAPIVersion: {
			Type:         framework.TypeString,
			Default:      latestVersion,
			Description:  `Version of the device's API: "latest", or one that the device lists at /api/versions, such as "v6".`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "API version"},
		},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema { return nil }

func (vendor) ValidateRole(*framework.FieldData) error { return nil }

var versionPattern = regexp.MustCompile(`^(latest|v[0-9]{1,4})$`)

func (v vendor) Open(config provider.Config) (provider.Connection, error) {
	username, err := provider.RequiredField(config.Fields, fieldUsername)
	if err != nil {
		return nil, err
	}
	password, err := provider.RequiredField(config.Fields, fieldPassword)
	if err != nil {
		return nil, err
	}
	policy, err := provider.StringField(config.Fields, fieldPasswordPolicy)
	if err != nil {
		return nil, err
	}
	version, err := provider.StringField(config.Fields, fieldAPIVersion)
	if err != nil {
		return nil, err
	}
	if version == "" {
		version = latestVersion
	}
	if !versionPattern.MatchString(version) {
		return nil, provider.InvalidField(fieldAPIVersion, `must be "latest" or a version such as "v6"`)
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
	api := &client{http: web, config: config.Name, version: version, username: username, password: password}
	return &connection{
		api:            api,
		passwordPolicy: policy,
		random:         v.random,
		room:           newSessionGuard(),
		logger:         logger,
		sessions: &sessionCache{
			api: api, clock: clock, logger: logger,
			store: sessionStore{
				store: config.Sessions, address: web.BaseURL(), username: username,
				timeout: web.RequestTimeout(), logger: logger,
			},
			refusals: provider.AuthBackoff{Initial: refusalPause},
			lost:     provider.AuthBackoff{Initial: refusalPause, Max: maxLostPause},
		},
	}, nil
}

// connection implements provider.Connection.
type connection struct {
	api            *client
	sessions       *sessionCache
	room           *sessionGuard
	passwordPolicy string
	random         io.Reader
	logger         hclog.Logger
}

// handleVersion is the version of the layout of handle.
const handleVersion = 1

// handle is what renewing and revoking a custom token need.
type handle struct {
	Version   int       `json:"v"`
	Token     string    `json:"token"`
	Subject   string    `json:"subject"`
	ExpiresAt time.Time `json:"expires_at"`
}

func parseHandle(content json.RawMessage) (handle, error) {
	return provider.ParseHandle("ftd", content, handleVersion, func(h handle) bool { return h.Token != "" })
}

func (c *connection) MaxLifetime() time.Duration { return maxLifetime }

// Check logs in with the password. The login stays, as the one that the connection works with, and the one
// that was held before is ended first: a check costs none of the device's sessions.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	held, err := c.sessions.login(ctx)
	if err != nil {
		return nil, err
	}
	result := &provider.CheckResult{
		Identity: c.api.username,
		Details: map[string]any{
			"api_version":      c.api.version,
			"login_expires_at": held.accessEnds.UTC().Format(time.RFC3339),
		},
	}
	versions, err := c.api.versions(ctx)
	if err != nil {
		return nil, err
	}
	if len(versions) > 0 {
		result.Details["supported_versions"] = versions
	}
	users, err := c.api.users(ctx, held.access, c.api.username)
	switch class := provider.ClassOf(err); {
	case err == nil:
	case class == provider.ClassForbidden, class == provider.ClassInvalid:
		result.Warnings = append(result.Warnings, "the login works, but the user's role could not be read: "+err.Error())
		return result, nil
	default:
		return nil, err
	}
	for _, user := range users.Items {
		if user.Name == c.api.username {
			result.Details["user_role"] = user.Role
			return result, nil
		}
	}
	result.Warnings = append(result.Warnings, "the user is not a local one of the device, so its role is not known; "+
		"whether a user without the administrator's role may make custom tokens is not documented")
	return result, nil
}

// Renew asks the device whether it still accepts the token, and returns the end that is fixed since the token
// was made. ClassNotFound means that the device has ended it.
func (c *connection) Renew(ctx context.Context, content json.RawMessage, _ time.Duration) (time.Time, error) {
	leased, err := parseHandle(content)
	if err != nil {
		return time.Time{}, err
	}
	alive, err := c.api.works(ctx, leased.Token)
	if err != nil {
		return time.Time{}, err
	}
	if alive {
		return leased.ExpiresAt, nil
	}
	// The device gives the same answer to an API version that it does not know. Only when our own login works
	// under this one is it the token that has ended.
	if err := c.verifyLogin(ctx); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, &provider.Error{
		Class: provider.ClassNotFound, Op: opUsers,
		Message: "the device no longer accepts this token: it was revoked, or ended when a sixth session was opened",
		Remedy:  "read a new credential; if this happens again, lower max_credentials so that the device's five sessions suffice",
	}
}

// Logout ends the connection's own login at the device. When it fails, the stored login is left for another
// attempt.
func (c *connection) Logout(ctx context.Context) error {
	defer c.api.http.Close()
	return c.sessions.close(ctx)
}

// Close leaves the login to whoever uses the session store next.
func (c *connection) Close() { c.api.http.Close() }

// manage calls with the access token of our own login. When the device refuses, it is first found out
// whether the login has died, evicted perhaps by a sixth session: then one new login is made and the call
// repeated once, which a refusal permits, because a refused call did nothing.
//
// A refusal is returned apart from all other errors: it is about what was asked for, and our login has just
// proved itself under this API version. A refused login is no refusal in this sense.
func (c *connection) manage(ctx context.Context, call func(access string) error) (refusal, err error) {
	held, loggedIn, err := c.sessions.get(ctx)
	if err != nil {
		return nil, err
	}
	err = call(held.access)
	if !refused(err) {
		return nil, err
	}
	alive, probeErr := c.api.works(ctx, held.access)
	switch {
	case probeErr != nil:
		return nil, probeErr
	case alive:
		return keepRequestError(err), nil
	}
	c.sessions.invalidate(held)
	if loggedIn {
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opLogin,
			Message: "the device ended our login right after it was made",
			Remedy:  "its five sessions may all be in use; lower max_credentials in config/" + c.api.config,
		}
	}
	held, _, err = c.sessions.get(ctx)
	if err != nil {
		return nil, err
	}
	err = call(held.access)
	if !refused(err) {
		return nil, err
	}
	return keepRequestError(err), nil
}

// keepRequestError corrects the class of a refusal that came although our login works: it is about what was
// asked for, not about who asked.
func keepRequestError(err error) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Class == provider.ClassUnauthenticated {
		failure.Class = provider.ClassForbidden
	}
	return err
}

// verifyLogin makes sure that our own login works, with a new login if need be.
func (c *connection) verifyLogin(ctx context.Context) error {
	refusal, err := c.manage(ctx, func(access string) error {
		_, err := c.api.users(ctx, access, "")
		if httpclient.StatusOf(err) == http.StatusForbidden {
			return nil // somebody who is known
		}
		return err
	})
	if refusal != nil {
		return &provider.Error{
			Class: provider.ClassUnavailable, Op: opUsers, Message: "the device does not accept our own login either", Err: refusal,
		}
	}
	return err
}
