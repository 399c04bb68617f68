package fortianalyzer

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	emulated "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// Operations in the request log of the emulator, which are also the routes of its faults.
const (
	routeToken       = "oauth_token"
	routeRefresh     = "oauth_token_refresh"
	routeVerify      = "oauth_verify_token"
	routeRevokeToken = "oauth_revoke_token"
	routeLogin       = "forticloud_jsonrpc_login"
	routeStatus      = "get /sys/status"
	routeSettings    = "get /cli/global/system/admin/setting"
	routeLogout      = "exec /sys/logout"
)

// issueRequest is the request with which tests issue sessions.
var issueRequest = provider.IssueRequest{Lifetime: time.Minute}

// permissionDenied is an answer with the code that has two meanings.
var permissionDenied = `{"id":1,"result":[{"status":{"code":-11,"message":"No permission for the resource"},"url":"/x"}]}`

// cloud is an emulated FortiAnalyzer Cloud, and a mount whose configs use it.
type cloud struct {
	*providertest.Instance
	provider provider.Provider
	stored   map[string]*providertest.Sessions // by the key of the shared login
	issued   json.RawMessage                   // the handle of the session that was issued last
}

// newCloud serves FortiAnalyzer Cloud until the test ends. switches are alternating names and values.
func newCloud(t *testing.T, switches ...string) *cloud {
	t.Helper()
	return &cloud{providertest.StartInstance(t, emulated.New(), switches...), New(), map[string]*providertest.Sessions{}, nil}
}

// restart is a restart of the process: what is in memory is gone. The test has closed its connections, or does not use
// them any more.
func (c *cloud) restart() { c.provider = New() }

// shared returns the store of a shared login. Only one goroutine may open connections.
func (c *cloud) shared(key string) provider.SessionStore {
	if c.stored[key] == nil {
		c.stored[key] = &providertest.Sessions{}
	}
	return c.stored[key]
}

// config returns a configuration that works, with changes to its fields as alternating names and values.
func (c *cloud) config(changes ...any) provider.Config {
	fields := map[string]any{}
	for i := 0; i < len(changes); i += 2 {
		fields[changes[i].(string)] = changes[i+1]
	}
	config := c.Config(c.provider, fields)
	config.ConnectionID, config.Shared = "edge-1", c.shared
	return config
}

// open returns a connection that is closed when the test ends. changes are as in config.
func (c *cloud) open(changes ...any) *connection {
	c.T.Helper()
	return c.openConfig(c.config(changes...))
}

// openAs is open for another config of the mount.
func (c *cloud) openAs(connectionID string, changes ...any) *connection {
	c.T.Helper()
	config := c.config(changes...)
	config.ConnectionID = connectionID
	return c.openConfig(config)
}

func (c *cloud) openConfig(config provider.Config) *connection {
	c.T.Helper()
	opened, err := c.provider.Open(config)
	require.NoError(c.T, err)
	c.T.Cleanup(opened.Close)
	return opened.(*connection)
}

// issue issues one session and requires success.
func (c *cloud) issue(conn *connection) *provider.Credential {
	c.T.Helper()
	credential, err := conn.Issue(c.T.Context(), issueRequest)
	require.NoError(c.T, err)
	c.issued = credential.Handle
	return credential
}

// sessions returns the number of live sessions.
func (c *cloud) sessions() int { return c.Live(emulator.KindLeased) }

var requireClass = providertest.RequireClass

// body returns text as the body of a fault.
func body(text string) *string { return &text }

// decode returns the members of a handle.
func decode(t *testing.T, content json.RawMessage) map[string]any {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(content, &members))
	return members
}
