package fortianalyzer

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortianalyzer"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// Operations in the request log of the twin.
const (
	askToken    = "oauth_token"
	revokeToken = "oauth_revoke_token"
	logIn       = "forticloud_jsonrpc_login"
	readStatus  = "get /sys/status"
	readSetting = "get /cli/global/system/admin/setting"
	logOut      = "exec /sys/logout"
)

// asked is what sessions are asked for.
var asked = provider.IssueRequest{Lifetime: time.Minute}

// denial is an answer with the code that has two meanings.
var denial = `{"id":1,"result":[{"status":{"code":-11,"message":"No permission for the resource"},"url":"/x"}]}`

// cloud is an emulated FortiAnalyzer Cloud on a clock that drives both sides.
type cloud struct {
	t     *testing.T
	srv   *emulator.Server
	clock *providertest.Clock
}

func newCloud(t *testing.T, switches ...string) *cloud {
	t.Helper()
	clock := providertest.NewClock()
	srv, err := emulator.Start(emulator.Config{Seed: 1, Now: clock.Now}, twin.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	c := &cloud{t: t, srv: srv, clock: clock}
	for i := 0; i < len(switches); i += 2 {
		c.set(switches[i], switches[i+1])
	}
	return c
}

// config is a configuration that works, with the given fields, as name and value in turn, on top.
func (c *cloud) config(changes ...any) provider.Config {
	raw := map[string]any{fieldAuthAddress: c.srv.AuthURL("fortianalyzer")}
	for name, value := range c.srv.State().Vendors["fortianalyzer"].Credentials {
		raw[name] = value
	}
	for i := 0; i < len(changes); i += 2 {
		raw[changes[i].(string)] = changes[i+1]
	}
	return provider.Config{
		Name: "faz", Address: c.srv.URL("fortianalyzer"), CACert: string(c.srv.CACertPEM()),
		RequestTimeout: 10 * time.Second,
		Fields:         &framework.FieldData{Raw: raw, Schema: vendor{}.ConfigFields()},
		Clock:          c.clock,
	}
}

// open returns a connection that is abandoned at the test's end.
func (c *cloud) open(changes ...any) *connection {
	c.t.Helper()
	opened, err := New().Open(c.config(changes...))
	require.NoError(c.t, err)
	c.t.Cleanup(opened.Abandon)
	return opened.(*connection)
}

// issue issues one session.
func (c *cloud) issue(conn *connection) *provider.Credential {
	c.t.Helper()
	credential, err := conn.Issue(c.t.Context(), asked)
	require.NoError(c.t, err)
	return credential
}

// set changes a switch.
func (c *cloud) set(name, value string) {
	c.t.Helper()
	require.NoError(c.t, c.srv.SetSwitch("fortianalyzer", name, value))
}

// fault disturbs requests.
func (c *cloud) fault(f emulator.Fault) {
	c.t.Helper()
	f.Vendor = "fortianalyzer"
	require.NoError(c.t, c.srv.AddFault(f))
}

// act carries out an action; arguments are given as name and value in turn.
func (c *cloud) act(name string, arguments ...string) map[string]string {
	c.t.Helper()
	given := map[string]string{}
	for i := 0; i < len(arguments); i += 2 {
		given[arguments[i]] = arguments[i+1]
	}
	result, err := c.srv.Do("fortianalyzer", name, given)
	require.NoError(c.t, err)
	return result
}

// operations returns what was asked of both servers, in order.
func (c *cloud) operations() []string {
	var operations []string
	for _, request := range c.srv.Requests("fortianalyzer") {
		operations = append(operations, request.Operation)
	}
	return operations
}

// count returns how often an operation was asked for.
func (c *cloud) count(operation string) int {
	count := 0
	for _, seen := range c.operations() {
		if seen == operation {
			count++
		}
	}
	return count
}

// live counts the live credentials of a kind.
func (c *cloud) live(kind string) int {
	count := 0
	for _, credential := range c.srv.Credentials("fortianalyzer") {
		if credential.Kind == kind && credential.Live {
			count++
		}
	}
	return count
}

// sessions counts the live sessions.
func (c *cloud) sessions() int { return c.live(emulator.KindLeased) }

// body is a fault's body.
func body(text string) *string { return &text }

// requireClass checks the class of an error, and returns it.
func requireClass(t *testing.T, class provider.Class, err error) *provider.Error {
	t.Helper()
	require.Error(t, err)
	failure, ok := err.(*provider.Error) //nolint:errorlint // the contract promises this very type
	require.True(t, ok, "%T: %v", err, err)
	require.Equal(t, class.String(), failure.Class.String(), err.Error())
	return failure
}

// decode reads a handle.
func decode(t *testing.T, content json.RawMessage) map[string]any {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(content, &members))
	return members
}
