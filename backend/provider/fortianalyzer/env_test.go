package fortianalyzer

import (
	"encoding/json"
	"testing"
	"time"

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

// cloud is an emulated FortiAnalyzer Cloud.
type cloud struct{ *providertest.Instance }

// newCloud serves FortiAnalyzer Cloud for the length of a test, with switches given as name and value in turn.
func newCloud(t *testing.T, switches ...string) *cloud {
	t.Helper()
	return &cloud{providertest.StartInstance(t, twin.New(), switches...)}
}

// config is a configuration that works, with the given fields, as name and value in turn, on top.
func (c *cloud) config(changes ...any) provider.Config {
	fields := map[string]any{}
	for i := 0; i < len(changes); i += 2 {
		fields[changes[i].(string)] = changes[i+1]
	}
	return c.Config(New(), fields)
}

// open returns a connection that is abandoned at the test's end.
func (c *cloud) open(changes ...any) *connection {
	c.T.Helper()
	opened, err := New().Open(c.config(changes...))
	require.NoError(c.T, err)
	c.T.Cleanup(opened.Close)
	return opened.(*connection)
}

// issue issues one session.
func (c *cloud) issue(conn *connection) *provider.Credential {
	c.T.Helper()
	credential, err := conn.Issue(c.T.Context(), asked)
	require.NoError(c.T, err)
	return credential
}

// sessions counts the live sessions.
func (c *cloud) sessions() int { return c.Live(emulator.KindLeased) }

var requireClass = providertest.RequireClass

// body is a fault's body.
func body(text string) *string { return &text }

// decode reads a handle.
func decode(t *testing.T, content json.RawMessage) map[string]any {
	t.Helper()
	var members map[string]any
	require.NoError(t, json.Unmarshal(content, &members))
	return members
}
