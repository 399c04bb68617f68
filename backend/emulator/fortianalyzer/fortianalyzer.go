// Package fortianalyzer emulates the logins of FortiAnalyzer Cloud, and by a switch those of FortiManager Cloud.
// FortiCloud's OAuth server exchanges the credentials of an IAM API user for an access token. The instance
// exchanges the access token for a JSON-RPC session. The sources are "Adding API users" (FortiAnalyzer Cloud
// Deployment), "Accessing FortiAPIs" (FortiCloud IAM) and the REST API Solution Guide of FortiAuthenticator, the
// software of FortiCloud's OAuth server.
//
// A session is one credential of kind "leased" in the history, without a marker, since the vendor has no field
// for one. It expires at the end of its idle time, and each use extends it. An OAuth access token is a credential
// of kind "login".
package fortianalyzer

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Routes of the OAuth server and of the instance. All sources show the slash at the end.
const (
	tokenPath  = "/api/v1/oauth/token/"
	revokePath = "/api/v1/oauth/revoke_token/"
	verifyPath = "/api/v1/oauth/verify_token/"

	loginPath = "/p/forticloud_jsonrpc_login/"
	rpcPath   = "/jsonrpc"
)

// The names of operations in the request log. The operations of rpcPath are method and url, such as
// "exec /sys/logout".
const (
	operationToken   = "oauth_token"
	operationRefresh = "oauth_token_refresh"
	operationRevoke  = "oauth_revoke_token"
	operationVerify  = "oauth_verify_token"
	operationLogin   = "forticloud_jsonrpc_login"
)

// The applications of the OAuth server: the client_ids of the two products.
const (
	clientAnalyzer = "FortiAnalyzer"
	clientManager  = "FortiManager"
)

// service is the state of the emulation. The vendor's lock guards it.
type service struct {
	env       *emulator.Env
	root      user                // in its first state, for Reset
	users     map[string]*user    // by id
	tokens    map[string]*token   // OAuth access tokens, by the token itself
	refreshes map[string]*refresh // by the refresh token itself
	sessions  map[string]*session // by the session string itself
	opened    []*session          // those that count towards login-max, the oldest first
}

// user is an IAM API user and its rights on the instance.
type user struct {
	id, password string
	disabled     bool // in the FortiCloud portal
	forbidden    bool // its profile on the instance allows nothing
	attempts     attempts
}

// token is an OAuth access token.
type token struct {
	id     string // its id in the history, which holds no secrets
	user   *user
	client string
}

// refresh is an OAuth refresh token.
type refresh struct {
	user    *user
	client  string
	expires time.Time
	access  *token // the access token that was issued with it
}

// session is a JSON-RPC session.
type session struct {
	id     string // its id in the history
	user   *user
	opened time.Time
}

// New returns FortiAnalyzer Cloud for [emulator.Start]: the instance at [emulator.EndpointURL], the OAuth
// server at [emulator.EndpointAuthURL].
func New() emulator.Vendor {
	return emulator.Vendor{Name: "fortianalyzer", Switches: switches(), New: newService}
}

// newService makes the state and the first API user.
func newService(env *emulator.Env) emulator.Service {
	svc := &service{env: env}
	svc.root = svc.newUser()
	svc.reset()
	return emulator.Service{
		Endpoints: []emulator.Endpoint{
			{
				Name:      emulator.EndpointURL,
				Handler:   http.HandlerFunc(svc.serveInstance),
				Operation: operation,
				ErrorBody: instanceErrorBody,
			},
			{
				Name:      emulator.EndpointAuthURL,
				Handler:   http.HandlerFunc(svc.serveOAuth),
				Operation: operation,
				ErrorBody: oauthErrorBody,
			},
		},
		Credentials: map[string]string{"username": svc.root.id, "password": svc.root.password},
		Actions:     svc.actions(),
		Reset:       svc.reset,
	}
}

// reset returns to a single API user with all permissions, without tokens and sessions.
func (svc *service) reset() {
	root := svc.root
	svc.users = map[string]*user{root.id: &root}
	svc.tokens = map[string]*token{}
	svc.refreshes = map[string]*refresh{}
	svc.sessions = map[string]*session{}
	svc.opened = nil
}

// newUser makes an API user in the form of the vendor's examples.
func (svc *service) newUser() user {
	return user{id: strings.ToUpper(svc.env.Random.UUID(4)), password: svc.env.Random.Hex(16) + "!1Aa"}
}

// operation names the intent of a request.
func operation(r *http.Request, body []byte) string {
	switch r.URL.Path {
	case tokenPath:
		var request struct {
			GrantType string `json:"grant_type"`
		}
		if json.Unmarshal(body, &request) == nil && request.GrantType == grantRefresh {
			return operationRefresh
		}
		return operationToken
	case revokePath:
		return operationRevoke
	case verifyPath:
		return operationVerify
	case loginPath:
		return operationLogin
	case rpcPath:
		var call rpcRequest
		if json.Unmarshal(body, &call) != nil || len(call.Params) == 0 {
			return call.Method
		}
		return call.Method + " " + withSlash(call.Params[0].URL)
	}
	return ""
}

// serveOAuth answers one request to the OAuth server.
func (svc *service) serveOAuth(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == tokenPath && r.Method == http.MethodPost:
		svc.grant(w, r)
	case r.URL.Path == revokePath && r.Method == http.MethodPost:
		svc.revoke(w, r)
	case r.URL.Path == verifyPath && r.Method == http.MethodGet:
		svc.verify(w, r)
	case r.URL.Path == tokenPath && r.Method == http.MethodGet && svc.env.Switch(switchNoSlash) == "301":
		// What a client receives that has followed the 301: its POST became a GET without a body.
		svc.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "Request is not valid JSON")
	case r.URL.Path == tokenPath || r.URL.Path == revokePath || r.URL.Path == verifyPath:
		svc.refuseOAuth(w, http.StatusMethodNotAllowed, "invalid_request", "method not allowed")
	case slices.Contains([]string{tokenPath, revokePath, verifyPath}, r.URL.Path+"/") && svc.env.Switch(switchNoSlash) == "301":
		redirectToSlash(w, r)
	default:
		svc.refuseOAuth(w, http.StatusNotFound, "not_found", "not found")
	}
}

// redirectToSlash answers 301. A client that follows it sends no body.
func redirectToSlash(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", r.URL.Path+"/")
	w.WriteHeader(http.StatusMovedPermanently)
}

// serveInstance answers one request to the instance.
func (svc *service) serveInstance(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == loginPath && r.Method == http.MethodPost:
		svc.login(w, r)
	case r.URL.Path == rpcPath && r.Method == http.MethodPost:
		svc.rpc(w, r)
	case r.URL.Path == loginPath || r.URL.Path == rpcPath:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	default:
		http.NotFound(w, r)
	}
}
