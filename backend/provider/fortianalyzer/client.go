package fortianalyzer

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	opToken    = "fortianalyzer: oauth/token"
	opRevoke   = "fortianalyzer: oauth/revoke_token"
	opLogin    = "fortianalyzer: forticloud_jsonrpc_login"
	opStatus   = "fortianalyzer: get /sys/status"
	opLogout   = "fortianalyzer: exec /sys/logout"
	opSettings = "fortianalyzer: get /cli/global/system/admin/setting"
)

// rpcPath is where all JSON-RPC calls go.
const rpcPath = "/jsonrpc"

const (
	// refusalPause is how long a refused password is not tried again: the OAuth server may lock the API user,
	// and a thousand readers would do it.
	refusalPause = 30 * time.Second

	// revokeTimeout bounds the revocation of an access token, during which other logins of the API user wait.
	revokeTimeout = 5 * time.Second
)

// remedyProfile is what helps a user who may do nothing.
const remedyProfile = "give the API user, in the FortiCloud IAM portal, a permission for this product that may at least read the system settings"

// client speaks both servers' APIs, one method a call. It knows no session.
type client struct {
	instance, oauth              *httpclient.Client
	config                       string
	username, password, clientID string
}

// newClient checks the fields of a config and opens both HTTP clients.
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
	// The override is a name of the instance's certificate; the OAuth server is another host.
	options.TLSServerName = ""
	oauth, err := httpclient.New(options)
	if err != nil {
		return nil, c.authAddressed(err)
	}
	c.instance, c.oauth = instance, oauth
	return c, nil
}

// key is what logins are made one at a time for.
func (c *client) key() gateKey {
	return gateKey{authAddress: c.oauth.BaseURL(), username: c.username, clientID: c.clientID}
}

// close frees the HTTP connections.
func (c *client) close() {
	c.instance.Close()
	c.oauth.Close()
}

// accessToken asks for an access token: POST /api/v1/oauth/token/. It ends the one that the API user had, so
// it is sent once. A lost answer is ClassUnavailable all the same, because no session was asked for, and the
// next token ends the one that nobody received.
func (c *client) accessToken(ctx context.Context) (string, error) {
	response, err := c.oauth.Do(ctx, httpclient.Request{
		Op:      opToken,
		Method:  http.MethodPost,
		Path:    "/api/v1/oauth/token/",
		JSON:    tokenRequest{Username: c.username, Password: c.password, ClientID: c.clientID, GrantType: grantPassword},
		Secrets: []string{c.password},
	})
	if err != nil {
		return "", c.authAddressed(err)
	}
	if response.Status != http.StatusOK {
		return "", c.authAddressed(c.refusedPassword(response))
	}
	var answer tokenAnswer
	if err := response.Decode(&answer); err != nil {
		return "", c.authAddressed(err)
	}
	if answer.AccessToken == "" {
		return "", c.authAddressed(c.refusedPassword(response))
	}
	return answer.AccessToken, nil
}

// refusedPassword turns an answer without a token into an error. 401 for a wrong id, password or client_id
// and 400 for missing data are documented for FortiAuthenticator; for this server they are inferred. A
// refusal under status 200 is not documented, but success is marked in the body, so failure may be too.
func (c *client) refusedPassword(response *httpclient.Response) error {
	said := readRefusal(response.Body)
	if response.Status == http.StatusOK && said.text == "" {
		return response.UnexpectedResponse("the answer holds no access_token")
	}
	failure := response.StatusError(said.text)
	switch response.Status {
	case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized:
		failure.Class = provider.ClassUnauthenticated
		failure.RetryAfter = max(failure.RetryAfter, refusalPause)
		failure.Remedy = "check username, password and client_id in config/" + c.config +
			"; the password changes whenever the API user's credential file is downloaded again"
	case http.StatusForbidden:
		failure.RetryAfter = max(failure.RetryAfter, refusalPause)
		failure.Remedy = "check in the FortiCloud IAM portal that the API user is enabled and may use this product"
	case http.StatusNotFound, http.StatusGone:
		// The path is fixed, so it is the host that is not the OAuth server.
		failure.Class, failure.Field = provider.ClassInvalid, fieldAuthAddress
		failure.Remedy = "check auth_address in config/" + c.config + "; FortiCloud's is " + defaultAuthAddress
	}
	return failure
}

// authAddressed makes an error of the HTTP client one about the OAuth server: about the field that names it,
// and never ambiguous.
func (c *client) authAddressed(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	if failure.Class == provider.ClassAmbiguous {
		failure.Class = provider.ClassUnavailable
	}
	if failure.Field == "address" {
		failure.Field = fieldAuthAddress
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		failure.Remedy = "correct auth_address in config/" + c.config // tls_server_name is not for this server
	}
	return failure
}

// revokeToken revokes an access token: POST /api/v1/oauth/revoke_token/, which answers 200 for one that is
// unknown, too. It runs on a context that outlives the request, and not for long.
func (c *client) revokeToken(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	response, err := c.oauth.Do(ctx, httpclient.Request{
		Op:         opRevoke,
		Method:     http.MethodPost,
		Path:       "/api/v1/oauth/revoke_token/",
		JSON:       revokeRequest{ClientID: c.clientID, Token: token},
		Idempotent: true,
		Secrets:    []string{c.password, token},
	})
	if err != nil {
		return c.authAddressed(err)
	}
	if !response.OK() {
		return c.authAddressed(response.StatusError(readRefusal(response.Body).text))
	}
	return nil
}

// login exchanges an access token for a session: POST /p/forticloud_jsonrpc_login/. It is never sent twice:
// a session that is lost cannot be logged out.
func (c *client) login(ctx context.Context, token string) (string, error) {
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
		return "", c.refusedLogin(response)
	}
	var answer loginAnswer
	if err := response.Decode(&answer); err != nil {
		return "", err
	}
	if answer.Session == "" {
		return "", c.refusedLogin(response)
	}
	return answer.Session, nil
}

// refusedLogin turns an answer without a session into an error. How the instance refuses is not documented,
// not even what it answers to one session too many: so the remedy names all that it can be. A body that gives
// a reason is a refusal under any status. One that does not proves nothing, unless the status is a refusal.
func (c *client) refusedLogin(response *httpclient.Response) error {
	said := readRefusal(response.Body)
	status := response.Status
	if response.OK() {
		if said.text == "" && said.code == 0 {
			return response.UnexpectedResponse("the answer holds no session")
		}
		status = said.code
	}
	failure := c.instanceError(response, said)
	switch {
	case status == http.StatusBadRequest, status == http.StatusUnauthorized:
		failure.Class = provider.ClassUnauthenticated
	case status == http.StatusForbidden:
		failure.Class = provider.ClassForbidden
	case status == http.StatusTooManyRequests:
		failure.Class = provider.ClassRateLimited
		return failure
	case response.OK():
		failure.Class = provider.ClassForbidden
	default:
		return failure
	}
	failure.Remedy = "check that the API user has a permission for this product in the FortiCloud IAM portal and has not reached its login-max on " +
		"the instance, that client_id in config/" + c.config + " fits the product, and that no other program logs in as the same API user: " +
		"each of its tokens ends the one before"
	return failure
}

// instanceError is the error of an answer of the instance by its HTTP status.
func (c *client) instanceError(response *httpclient.Response, said refusal) *provider.Error {
	failure := response.StatusError(said.text)
	if failure.Class == provider.ClassNotFound {
		// The paths are fixed, so it is the host that is not the product. It says nothing about a session.
		failure.Class, failure.Field = provider.ClassInvalid, "address"
		failure.Remedy = "check that the address in config/" + c.config + " is <account-id>.<region>.fortianalyzer.forticloud.com"
	}
	return failure
}

// status reads the system status: the cheapest authenticated call, and a use of the session.
func (c *client) status(ctx context.Context, session string) (*rpcAnswer, error) {
	return c.call(ctx, opStatus, "get", "/sys/status", session)
}

// logout ends a session. Doing it twice is the same as doing it once.
func (c *client) logout(ctx context.Context, session string) (*rpcAnswer, error) {
	return c.call(ctx, opLogout, "exec", "/sys/logout", session)
}

// adminSettings reads the instance's settings for administrators, idle_timeout_api among them.
func (c *client) adminSettings(ctx context.Context, session string) (*rpcAnswer, error) {
	return c.call(ctx, opSettings, "get", "/cli/global/system/admin/setting", session)
}

// rpcAnswer is the outcome of a call.
type rpcAnswer struct {
	code    int
	message string // redacted
	data    json.RawMessage
	sentAt  time.Time
	op      string
}

// call makes a JSON-RPC call that may be repeated. That the HTTP status is 200 whatever becomes of a call is
// inferred, so any other is an error by its usual meaning.
func (c *client) call(ctx context.Context, op, method, url, session string) (*rpcAnswer, error) {
	response, err := c.instance.Do(ctx, httpclient.Request{
		Op:         op,
		Method:     http.MethodPost,
		Path:       rpcPath,
		JSON:       rpcRequest{ID: 1, Method: method, Params: []rpcParam{{URL: url}}, Session: session, Verbose: 1},
		Idempotent: true,
		Secrets:    []string{c.password, session},
	})
	if err != nil {
		return nil, err
	}
	if !response.OK() {
		return nil, c.instanceError(response, readRefusal(response.Body))
	}
	var envelope rpcEnvelope
	if err := response.Decode(&envelope); err != nil {
		return nil, err
	}
	if len(envelope.Result) == 0 || envelope.Result[0].Status == nil || envelope.Result[0].Status.Code == nil {
		return nil, response.UnexpectedResponse("the answer holds no result")
	}
	result := envelope.Result[0]
	return &rpcAnswer{
		code: *result.Status.Code, message: response.Redact(result.Status.Message),
		data: result.Data, sentAt: response.SentAt, op: op,
	}, nil
}

// denied reports the code that has two meanings.
func (a *rpcAnswer) denied() bool { return a.code == codeNoPermission }

// failure makes an error of an answer that was understood.
func (a *rpcAnswer) failure(class provider.Class, meaning, remedy string) *provider.Error {
	return a.failureAs(a.op, class, meaning, remedy)
}

// failureAs is failure for a step that took several calls.
func (a *rpcAnswer) failureAs(op string, class provider.Class, meaning, remedy string) *provider.Error {
	return &provider.Error{
		Class: class, Op: op, Remedy: remedy,
		Message: fmt.Sprintf("%s (code %d: %s)", meaning, a.code, a.message),
	}
}

// unexpected is the failure for a code that is not documented.
func (a *rpcAnswer) unexpected() *provider.Error {
	return a.failure(provider.ClassUnavailable, "the instance answered with a code whose meaning is not documented", "")
}
