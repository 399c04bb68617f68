// Package fortianalyzer leases JSON-RPC sessions of FortiAnalyzer Cloud, and of FortiManager Cloud by its
// client_id.
//
// Sources: Fortinet, FortiAnalyzer Cloud Deployment, "Adding API users"; FortiCloud IAM, "Accessing
// FortiAPIs" and "Adding an API user"; FortiLAN Cloud User Guide, "API Users"; FortiAuthenticator REST API
// Solution Guide, for the software behind FortiCloud's OAuth server; the vendor's clients pyFMG,
// terraform-provider-fortimanager and the fortinet.fortianalyzer Ansible collection.
//
// Two servers are involved. FortiCloud's OAuth server takes the API user's password and answers with an
// access token; the instance takes that and answers with a session. The session outlives the token, which is
// revoked at once, and ends when it was not used for the instance's idle timeout. Nobody tells that time, so
// the operator does.
package fortianalyzer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	fieldUsername    = "username"
	fieldPassword    = "password"
	fieldClientID    = "client_id"
	fieldAuthAddress = "auth_address"
	fieldIdleTimeout = "idle_timeout"

	// defaultClientID is the OAuth application of FortiAnalyzer Cloud. Whether case matters is not documented.
	defaultClientID = "FortiAnalyzer"

	// defaultAuthAddress is FortiCloud's OAuth server.
	defaultAuthAddress = "https://customerapiauth.fortinet.com"

	// The documented default and range of idle_timeout_api ("config system admin setting"). They are of
	// FortiAnalyzer and FortiManager; that the Cloud editions have the same is inferred.
	defaultIdleTimeout = 900 * time.Second
	minIdleTimeout     = time.Second
	maxIdleTimeout     = 28800 * time.Second

	// defaultMaxCredentials leaves two of the documented 20 sessions of an API user: one for a check or a
	// confirmation of ours, see [connection.probe], and one for a person.
	defaultMaxCredentials = 18

	// tokenType says that the token is no bearer token: it goes into the member "session" of each call.
	tokenType = "session"

	// cleanupTimeout bounds a logout after a failure, on a context that outlives the request.
	cleanupTimeout = 20 * time.Second
)

// New returns the provider of FortiAnalyzer Cloud.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider   = vendor{}
	_ provider.Connection = (*connection)(nil)
	_ provider.Renewer    = (*connection)(nil)
	_ provider.Revoker    = (*connection)(nil)
)

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
		AddressFields:         []string{fieldAuthAddress},
		RevocationNote:        "Revoking the lease logs the session out at the instance.",
		RotationNote: "API users' passwords are changed in the FortiCloud IAM portal only: download the API user's credential file " +
			"again, which ends the old password at once, and write the new one to config/<name>.",
	}
}

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldUsername: {
			Type:         framework.TypeString,
			Description:  "Id of the FortiCloud IAM API user, as in its credential file.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "API user"},
		},
		fieldPassword: {
			Type:         framework.TypeString,
			Description:  "Password of that API user, as in its credential file.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password", Sensitive: true},
		},
		fieldClientID: {
			Type:         framework.TypeString,
			Default:      defaultClientID,
			Description:  `OAuth application of the product: "FortiAnalyzer", or "FortiManager" for FortiManager Cloud.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Client ID"},
		},
		fieldAuthAddress: {
			Type:         framework.TypeString,
			Default:      defaultAuthAddress,
			Description:  "FortiCloud's OAuth server. The password is sent there.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "OAuth server"},
		},
		fieldIdleTimeout: {
			Type:    framework.TypeDurationSecond,
			Default: int(defaultIdleTimeout / time.Second),
			Description: "The instance's setting idle_timeout_api (1s to 28800s): how long a session lives that nobody uses. " +
				"It bounds the ttl of a lease. A value above the instance's own lets sessions end before their leases.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Idle timeout"},
		},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema { return nil }

func (vendor) ValidateRole(*framework.FieldData) error { return nil }

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

// idleTimeout reads the field of that name.
func idleTimeout(fields *framework.FieldData) (time.Duration, error) {
	if fields == nil {
		return defaultIdleTimeout, nil
	}
	value, present, err := fields.GetOkErr(fieldIdleTimeout)
	if err != nil {
		return 0, provider.InvalidField(fieldIdleTimeout, "must be a duration")
	}
	seconds, _ := value.(int)
	if !present {
		return defaultIdleTimeout, nil
	}
	idle := time.Duration(seconds) * time.Second
	if idle < minIdleTimeout || idle > maxIdleTimeout {
		return 0, provider.InvalidField(fieldIdleTimeout, "must be between %s and %s", minIdleTimeout, maxIdleTimeout)
	}
	return idle, nil
}

// connection implements provider.Connection. It has no login of its own: each session is for somebody else,
// or is logged out by the call that opened it.
type connection struct {
	api    *client
	idle   time.Duration
	logger hclog.Logger
}

// handleVersion is the version of the layout of handle.
const handleVersion = 1

// handle is what renewing and revoking a session need. It has no expiry: each use of the session moves that,
// the application's uses too, of which nobody here knows.
type handle struct {
	Version int    `json:"v"`
	Session string `json:"session"`
}

func parseHandle(content json.RawMessage) (handle, error) {
	return provider.ParseHandle("fortianalyzer", content, handleVersion, func(h handle) bool { return h.Session != "" })
}

// MaxLifetime is the idle timeout: what the vendor grants at a time, and again with each use.
func (c *connection) MaxLifetime() time.Duration { return c.idle }

// Issue opens a session, and proves that it is good for something: a user without permissions gets one too.
//
// A session has no life that could be asked for. Unused, each lives for the idle timeout, so that is its end
// even if less was asked for; the lease ends it earlier.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second || request.Lifetime > c.idle {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opLogin, Field: "ttl",
			Message: fmt.Sprintf("a session that nobody uses lives between 1s and the idle timeout, %s", c.idle),
		}
	}
	opened, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	status, err := c.verify(ctx, opened)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(handle{handleVersion, opened.session})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Op: opLogin, Message: "the handle cannot be written as JSON", Err: err}
	}
	return &provider.Credential{
		Token:     opened.session,
		TokenType: tokenType,
		Address:   c.api.instance.BaseURL(),
		Data:      map[string]any{"session": opened.session, "url": c.api.instance.BaseURL() + rpcPath},
		Handle:    content,
		ExpiresAt: status.sentAt.Add(c.idle),
		// Each call of the application's moves it on.
		ExpiryNotEnforced: true,
		Warnings:          opened.warnings,
	}, nil
}

// Renew uses the session, which starts its idle time anew.
func (c *connection) Renew(ctx context.Context, content json.RawMessage, _ time.Duration) (time.Time, error) {
	leased, err := parseHandle(content)
	if err != nil {
		return time.Time{}, err
	}
	answer, err := c.api.status(ctx, leased.Session)
	switch {
	case err != nil:
		return time.Time{}, err
	case answer.denied():
		// Both meanings are the same to whoever holds the session: it is good for nothing.
		return time.Time{}, answer.failure(provider.ClassNotFound,
			"the session has ended, or the API user has lost its permission to read the system status",
			"read a new credential; if sessions end early, compare idle_timeout in config/"+c.api.config+" with the instance's idle_timeout_api")
	case answer.code != codeOK:
		return time.Time{}, answer.unexpected()
	}
	return answer.sentAt.Add(c.idle), nil
}

// Logout frees the HTTP connections; there is no login of ours to be ended.
func (c *connection) Logout(context.Context) error {
	c.api.close()
	return nil
}

// Close frees the HTTP connections.
func (c *connection) Close() { c.api.close() }
