// Package fortisiem imitates the part of FortiSIEM's public REST API that exchanges the client id and secret
// of an API token for a short-lived access token, as described by "API Token" (FortiSIEM 7.5.1 User Guide)
// and the vendor's OpenAPI documents "FortiSIEM Public API" 7.5.1.
//
// The vendor has no public call that revokes a token or changes a client: those are clicks in its GUI, and
// actions here. The revocation route behind the switch revoke_route is NOT an API of the vendor's. It stands
// for a call that an operator may know of or build, and exists to test clients that can be told of one.
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

// operations are the names of the calls that there are.
var operations = map[string]string{
	tokenPath:  operationToken,
	revokePath: operationRevoke,
	healthPath: operationHealth,
}

// ownerName is the user that made the clients, and whose Basic credentials work too.
const ownerName = "super/admin"

// service is the state of the imitation. The emulator's core calls it under a lock.
type service struct {
	env      *emulator.Env
	root     client
	password string // of the owner

	clients  map[string]*client  // by client id
	attempts map[string]*attempt // by client id, those included that do not exist
	tokens   map[string]*token   // by the access token itself
	refresh  map[string]*client  // by refresh token
}

// client is what the GUI calls an API token: a client id with its secret.
type client struct {
	id, secret string
	// life is the GUI's "Access Token Expiry"; zero leaves it to the switch access_token_expiry.
	life time.Duration
	// secretExpires is the GUI's "client secret expiry"; zero means never.
	secretExpires time.Time
	revoked       bool
	ownerDenied   bool // the user who made it lost the right to ask for tokens
	exchanged     bool // it has yielded a token
}

// token is an access token.
type token struct {
	id     string // its name in the book, which holds no secrets
	client *client
}

// New returns FortiSIEM for [emulator.Start]. The book has one credential of kind "leased" per access token,
// without a marker, since the vendor has no place for one.
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

// newClient makes a client. Client ids look like UUIDs, by the vendor's clients.
func (svc *service) newClient() client {
	return client{id: svc.env.Random.UUID(4), secret: svc.newSecret()}
}

// newSecret makes a client secret, whose spelling is not documented.
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
