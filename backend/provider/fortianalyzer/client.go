package fortianalyzer

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	opToken    = "fortianalyzer: oauth/token"
	opVerify   = "fortianalyzer: oauth/verify_token"
	opRevoke   = "fortianalyzer: oauth/revoke_token"
	opLogin    = "fortianalyzer: forticloud_jsonrpc_login"
	opStatus   = "fortianalyzer: get /sys/status"
	opLogout   = "fortianalyzer: exec /sys/logout"
	opSettings = "fortianalyzer: get /cli/global/system/admin/setting"
)

// rpcPath is the path of all JSON-RPC calls.
const rpcPath = "/jsonrpc"

// client calls the APIs of both servers. Each method makes one request. It keeps no token and no session, and is safe
// for concurrent use.
type client struct {
	instance, oauth              *httpclient.Client
	config                       string // the config's name, for remedies
	username, password, clientID string
}

// newClient checks the fields of a config and creates both HTTP clients.
func newClient(config provider.Config) (*client, error) {
	c := &client{config: config.Name}
	var authAddress string
	for _, field := range []struct {
		name   string
		target *string
	}{
		{fieldUsername, &c.username}, {fieldPassword, &c.password}, {fieldClientID, &c.clientID}, {fieldAuthAddress, &authAddress},
	} {
		value, err := provider.RequiredField(config.Fields, field.name)
		if err != nil {
			return nil, err
		}
		*field.target = value
	}
	options := httpclient.FromConfig(config)
	instance, err := httpclient.New(options)
	if err != nil {
		return nil, err
	}
	options.Address = authAddress
	// tls_server_name is a name in the instance's certificate. The OAuth server is another host.
	options.TLSServerName = ""
	oauth, err := httpclient.New(options)
	if err != nil {
		return nil, c.asOAuthError(err)
	}
	c.instance, c.oauth = instance, oauth
	return c, nil
}

// accountKey returns what the access token belongs to.
func (c *client) accountKey() accountKey {
	return accountKey{authAddress: c.oauth.BaseURL(), username: c.username, clientID: c.clientID}
}

// close closes the HTTP connections.
func (c *client) close() {
	c.instance.Close()
	c.oauth.Close()
}

// login exchanges an access token for a session: POST /p/forticloud_jsonrpc_login/. It is never sent twice, because a
// session whose answer is lost cannot be logged out.
func (c *client) login(ctx context.Context, token string) (sessionID string, err error) {
	response, err := c.instance.Do(ctx, httpclient.Request{
		Op:      opLogin,
		Method:  http.MethodPost,
		Path:    "/p/forticloud_jsonrpc_login/",
		JSON:    loginRequest{AccessToken: token},
		Secrets: []string{c.password, token},
	})
	if err != nil {
		return "", err
	}
	if !response.OK() {
		return "", c.loginError(response)
	}
	var answer loginResponse
	if err := response.Decode(&answer); err != nil {
		return "", err
	}
	if answer.Session == "" {
		return "", c.loginError(response)
	}
	return answer.Session, nil
}

// status reads the system status. It is the cheapest authenticated call, and counts as a use of the session.
func (c *client) status(ctx context.Context, sessionID string) (*rpcResult, error) {
	return c.call(ctx, opStatus, "get", "/sys/status", sessionID)
}

// logout ends a session. A second logout of the same session has no further effect.
func (c *client) logout(ctx context.Context, sessionID string) (*rpcResult, error) {
	return c.call(ctx, opLogout, "exec", "/sys/logout", sessionID)
}

// adminSettings reads the instance's settings for administrators, which include idle_timeout_api.
func (c *client) adminSettings(ctx context.Context, sessionID string) (*rpcResult, error) {
	return c.call(ctx, opSettings, "get", "/cli/global/system/admin/setting", sessionID)
}

// call makes a JSON-RPC call that may be repeated. It is inferred that the HTTP status is 200 whatever the result of
// the call, so any other status becomes an error by its usual meaning.
func (c *client) call(ctx context.Context, op, method, url, sessionID string) (*rpcResult, error) {
	response, err := c.instance.Do(ctx, httpclient.Request{
		Op:         op,
		Method:     http.MethodPost,
		Path:       rpcPath,
		JSON:       rpcRequest{ID: 1, Method: method, Params: []rpcParam{{URL: url}}, Session: sessionID, Verbose: 1},
		Idempotent: true,
		Secrets:    []string{c.password, sessionID},
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.instanceError(response, readErrorBody(response.Body))
	}
	var envelope rpcResponse
	if err := response.Decode(&envelope); err != nil {
		return nil, err
	}
	if len(envelope.Result) == 0 || envelope.Result[0].Status == nil || envelope.Result[0].Status.Code == nil {
		return nil, response.UnexpectedResponse("the answer contains no result")
	}
	result := envelope.Result[0]
	return &rpcResult{
		code: *result.Status.Code, message: response.Redact(result.Status.Message),
		data: result.Data, sentAt: response.SentAt, op: op,
	}, nil
}

// rpcResult is the result of a JSON-RPC call.
type rpcResult struct {
	code    int
	message string // redacted
	data    json.RawMessage
	sentAt  time.Time // when the request was sent, on this machine's clock
	op      string
}

// denied reports whether the code is the one that has two meanings; see codeNoPermission.
func (r *rpcResult) denied() bool { return r.code == codeNoPermission }
