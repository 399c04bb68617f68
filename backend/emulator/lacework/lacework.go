// Package lacework emulates the part of the Lacework FortiCNAPP API 2.0 that exchanges an API key for a
// short-lived bearer token. The sources are "API Keys and Access Tokens" (FortiCNAPP API Reference) and the
// vendor's OpenAPI document "Lacework API 2.0 Documentation".
//
// The package has no call that revokes a token, since the vendor has none.
package lacework

import (
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Routes of the API, and the names of their operations in the request log.
const (
	tokenPath   = "/api/v2/access/tokens"
	profilePath = "/api/v2/UserProfile"

	operationToken   = "access_token"
	operationProfile = "user_profile"
)

// maxBody is the longest POST body in bytes, beyond which the vendor answers 400.
const maxBody = 1 << 20

// account is the name of the emulated account.
const account = "acme"

// service is the state of the emulation. The vendor's lock guards it.
type service struct {
	env     *emulator.Env
	root    key
	keys    map[string]*key    // by key id
	tokens  map[string]*token  // by the bearer token itself
	buckets map[string]*bucket // by user and functionality
	users   int
}

// key is an API key, which an administrator creates at the console.
type key struct {
	id, secret string
	user       string // keys of one user share the rate limit
	service    bool   // belongs to a service user, which can use its own account only
	disabled   bool
}

// token is a bearer token.
type token struct {
	id      string // its id in the history, which holds no secrets
	key     *key
	expires time.Time
}

// New returns Lacework for [emulator.Start]. The history has one credential of kind "leased" per token, without
// a marker, since the vendor has no field for one.
func New() emulator.Vendor {
	return emulator.Vendor{Name: "lacework", Switches: switches(), New: newService}
}

// newService makes the state and the first API key.
func newService(env *emulator.Env) emulator.Service {
	svc := &service{env: env}
	svc.root = svc.newKey("admin@"+account+".example", false)
	svc.reset()
	return emulator.Service{
		Endpoints: []emulator.Endpoint{{
			Name:      emulator.EndpointURL,
			Handler:   http.HandlerFunc(svc.serve),
			Operation: operation,
			ErrorBody: errorBody,
		}},
		Credentials: map[string]string{"key_id": svc.root.id, "secret_key": svc.root.secret},
		Actions:     svc.actions(),
		Reset:       svc.reset,
	}
}

// reset returns to a single enabled key, without tokens, all buckets full.
func (svc *service) reset() {
	root := svc.root
	svc.keys = map[string]*key{root.id: &root}
	svc.tokens = map[string]*token{}
	svc.buckets = map[string]*bucket{}
}

// newKey makes a key in the form of the vendor's examples.
func (svc *service) newKey(user string, service bool) key {
	return key{
		id:      strings.ToUpper(account + "_" + svc.env.Random.Hex(28)),
		secret:  "_" + svc.env.Random.Hex(16),
		user:    user,
		service: service,
	}
}

// operation names the two calls of the API.
func operation(r *http.Request, _ []byte) string {
	switch r.URL.Path {
	case tokenPath:
		return operationToken
	case profilePath:
		return operationProfile
	}
	return ""
}

// serve answers one request.
func (svc *service) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == tokenPath && r.Method == http.MethodPost:
		svc.issueToken(w, r)
	case r.URL.Path == profilePath && r.Method == http.MethodGet:
		svc.profile(w, r)
	case r.URL.Path == tokenPath || r.URL.Path == profilePath:
		if svc.admit(w, r, svc.bearerUser(r)) {
			svc.refuse(w, http.StatusMethodNotAllowed, "Method Not Allowed")
		}
	default:
		if !svc.admit(w, r, svc.bearerUser(r)) {
			return
		}
		message := "Not Found"
		if svc.env.Switch(switchUnknownPath) == "403" {
			message = "Unrecognized url"
		}
		svc.refuse(w, svc.status(switchUnknownPath), message)
	}
}
