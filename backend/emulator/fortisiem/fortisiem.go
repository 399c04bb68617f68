// Package fortisiem emulates the part of FortiSIEM's public REST API that exchanges the client id and secret of
// an API token for a short-lived access token. The sources are "API Token" (FortiSIEM 7.5.1 User Guide) and the
// vendor's OpenAPI documents "FortiSIEM Public API" 7.5.1.
//
// The vendor has no public call that revokes a token or changes a client. An administrator does this in the GUI;
// here these steps are actions. The revocation route, which the switch revoke_route turns on, is NOT an API of
// the vendor. It represents a call that an operator knows or builds, and exists to test clients with a
// configurable revocation URL.
package fortisiem

import (
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Routes of the API, and the names of their operations in the request log.
const (
	tokenPath  = "/phoenix/rest/pub/security/oauth/token"
	revokePath = "/phoenix/rest/pub/security/oauth/revoke"
	healthPath = "/phoenix/rest/system/health/summary"

	operationToken  = "oauth_token"
	operationRevoke = "oauth_revoke"
	operationHealth = "health_summary"
)

// operations maps the paths to the names of their operations.
var operations = map[string]string{
	tokenPath:  operationToken,
	revokePath: operationRevoke,
	healthPath: operationHealth,
}

// ownerName is the user that created the clients. Its name and password also work, as Basic credentials.
const ownerName = "super/admin"

// service is the state of the emulation. The vendor's lock guards it.
type service struct {
	env      *emulator.Env
	root     client
	password string // of the owner

	clients  map[string]*client  // by client id
	attempts map[string]*attempt // by client id, also by ids of no client
	tokens   map[string]*token   // by the access token itself
	refresh  map[string]*client  // by refresh token
}

// client is a client id with its secret. The GUI calls it an API token.
type client struct {
	id, secret string
	// life is the GUI's "Access Token Expiry"; zero means the value of the switch access_token_expiry.
	life time.Duration
	// secretExpires is the GUI's "client secret expiry"; zero means never.
	secretExpires time.Time
	revoked       bool
	ownerDenied   bool // the user who created it must not request tokens
	exchanged     bool // it has been exchanged for a token
}

// token is an access token.
type token struct {
	id     string // its id in the history, which holds no secrets
	client *client
}

// New returns FortiSIEM for [emulator.Start]. The history has one credential of kind "leased" per access token,
// without a marker, since the vendor has no field for one.
func New() emulator.Vendor {
	return emulator.Vendor{Name: "fortisiem", Switches: switches(), New: newService}
}

// newService makes the state and the first client.
func newService(env *emulator.Env) emulator.Service {
	svc := &service{env: env}
	svc.root = svc.newClient()
	svc.password = env.Random.Hex(12)
	svc.reset()
	return emulator.Service{
		Endpoints: []emulator.Endpoint{{
			Name:      emulator.EndpointURL,
			Handler:   http.HandlerFunc(svc.serve),
			Operation: func(r *http.Request, _ []byte) string { return operations[r.URL.Path] },
			ErrorBody: errorBody,
		}},
		Credentials: map[string]string{"client_id": svc.root.id, "client_secret": svc.root.secret},
		Login:       map[string]string{"username": ownerName, "password": svc.password},
		Actions:     svc.actions(),
		Reset:       svc.reset,
	}
}

// reset returns to a single working client, without tokens.
func (svc *service) reset() {
	root := svc.root
	svc.clients = map[string]*client{root.id: &root}
	svc.attempts = map[string]*attempt{}
	svc.tokens = map[string]*token{}
	svc.refresh = map[string]*client{}
}

// newClient makes a client. Client ids look like UUIDs in the vendor's own clients.
func (svc *service) newClient() client {
	return client{id: svc.env.Random.UUID(4), secret: svc.newSecret()}
}

// newSecret makes a client secret. Its form is not documented.
func (svc *service) newSecret() string { return svc.env.Random.Hex(20) }

// serve answers one request.
func (svc *service) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == tokenPath && r.Method == http.MethodPost:
		svc.exchange(w, r)
	case r.URL.Path == healthPath && r.Method == http.MethodGet:
		svc.health(w, r)
	case r.URL.Path == revokePath && svc.env.Enabled(switchRevokeRoute):
		svc.revoke(w, r)
	case r.URL.Path == tokenPath || r.URL.Path == healthPath:
		svc.refuse(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "Method not allowed")
	default:
		svc.refuse(w, http.StatusNotFound, "NOT_FOUND", "Not found")
	}
}
