// Package trend emulates the API keys of the legacy API of Trend Micro Deep Security and Workload Security. The
// sources are the vendor's guides "Create and Manage API Keys" and "Create an API Key Using Code", its API
// reference (tags API Keys and Administrator Roles), its Python SDK and recorded exchanges of public clients.
//
// The history has one credential per API key. Its marker is the keyName at the key's creation. A key has the kind
// "login" if a session or a person at the console created it, or if its role may create keys, as the role of a
// root key does. All other keys have the kind "leased". Sessions are not in the history. A locked key stays live
// in the history, since it works again after it is unlocked.
package trend

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// basePath precedes the resources of the API.
const basePath = "/api"

// The names of the only tenant and the only user, and the code that the user's authenticator shows.
const (
	tenantName = "acme"
	tenantID   = 78422
	userName   = "MasterAdmin"
	mfaCode    = "492039"
)

// service is the state of the emulation. The vendor's lock guards it.
type service struct {
	env          *emulator.Env
	rootSecret   string // random part of the root key's secret
	rootPassword string
	tenantGUID   string

	password string
	failures int    // wrong passwords of the user in a row
	keys     []*key // in the order of their IDs
	lastKey  int
	roles    []*role
	sessions map[string]*session // by sID
	calls    map[string]*window  // by key, user or tenant
}

// New returns Trend Micro for [emulator.Start].
func New() emulator.Vendor {
	return emulator.Vendor{Name: "trend", Switches: switches(), New: newService}
}

// newService makes the manager with its first API key and its only user.
func newService(env *emulator.Env) emulator.Service {
	svc := &service{
		env:          env,
		rootSecret:   newSecret(env),
		rootPassword: "Aa1!" + env.Random.Hex(10),
		tenantGUID:   strings.ToUpper(env.Random.UUID(4)),
	}
	svc.reset()
	return emulator.Service{
		Endpoints: []emulator.Endpoint{{
			Name:      emulator.EndpointURL,
			Path:      basePath,
			Handler:   http.HandlerFunc(svc.serve),
			Operation: operation,
			ErrorBody: errorBody,
		}},
		Credentials: map[string]string{"api_key": svc.keys[0].secret},
		Login:       map[string]string{"username": userName, "password": svc.rootPassword},
		Actions:     svc.actions(),
		Reset:       svc.reset,
	}
}

// reset returns to the default roles and the root key, without sessions.
func (svc *service) reset() {
	svc.password, svc.failures = svc.rootPassword, 0
	svc.roles = defaultRoles()
	svc.keys, svc.lastKey = nil, 0
	svc.sessions = map[string]*session{}
	svc.calls = map[string]*window{}
	svc.addKey(&key{
		name: "vault-management", description: "the first root credential", role: roleKeyManagement,
		locale: "en-US", timeZone: defaultTimeZone,
	}, emulator.KindLogin, svc.rootSecret)
}

// call is one authenticated request.
type call struct {
	caller
	id   int // from the path, 0 if the path has none
	body []byte
}

// operations maps method and path to the name of the operation in the vendor's SDK, or to a similar name.
var operations = map[string]string{
	"POST /api/apikeys":                   "createApiKey",
	"GET /api/apikeys":                    "listApiKeys",
	"GET /api/apikeys/{id}":               "describeApiKey",
	"POST /api/apikeys/{id}":              "modifyApiKey",
	"DELETE /api/apikeys/{id}":            "deleteApiKey",
	"POST /api/apikeys/search":            "searchApiKeys",
	"GET /api/apikeys/current":            "describeCurrentApiKey",
	"POST /api/apikeys/current":           "modifyCurrentApiKey",
	"POST /api/apikeys/current/secretkey": "replaceCurrentApiSecretKey",
	"POST /api/apikeys/{id}/secretkey":    "replaceApiSecretKey",

	"GET /api/roles":         "listAdministratorRoles",
	"POST /api/roles":        "createAdministratorRole",
	"GET /api/roles/{id}":    "describeAdministratorRole",
	"POST /api/roles/{id}":   "modifyAdministratorRole",
	"DELETE /api/roles/{id}": "deleteAdministratorRole",
	"POST /api/roles/search": "searchAdministratorRoles",

	"POST /api/sessions":                      "createSession",
	"POST /rest/authentication/login":         "legacyLogin",
	"POST /rest/authentication/login/primary": "legacyLogin",
	"DELETE /rest/authentication/logout":      "legacyLogout",
}

// handler returns the function that answers an authenticated operation, or nil.
func (svc *service) handler(operation string) func(http.ResponseWriter, call) {
	return map[string]func(http.ResponseWriter, call){
		"createApiKey":               svc.createKey,
		"listApiKeys":                svc.listKeys,
		"describeApiKey":             svc.describeKey,
		"modifyApiKey":               svc.modifyKey,
		"deleteApiKey":               svc.deleteKey,
		"searchApiKeys":              svc.searchKeys,
		"describeCurrentApiKey":      svc.describeCurrent,
		"modifyCurrentApiKey":        svc.modifyCurrent,
		"replaceCurrentApiSecretKey": svc.replaceCurrentSecret,
		"replaceApiSecretKey":        svc.replaceSecret,
		"listAdministratorRoles":     svc.listRoles,
		"createAdministratorRole":    svc.createRole,
		"describeAdministratorRole":  svc.describeRole,
		"modifyAdministratorRole":    svc.modifyRole,
		"deleteAdministratorRole":    svc.deleteRole,
		"searchAdministratorRoles":   svc.searchRoles,
	}[operation]
}

var idSegment = regexp.MustCompile(`/([0-9]+)(/|$)`)

// route returns the operation of a request, "" if it has none, and the id in its path.
func route(r *http.Request) (operation string, id int) {
	path := r.URL.Path
	if found := idSegment.FindStringSubmatch(path); found != nil {
		number, err := strconv.ParseInt(found[1], 10, 32)
		if err != nil {
			return "", 0
		}
		id, path = int(number), idSegment.ReplaceAllString(path, "/{id}$2")
	}
	return operations[r.Method+" "+path], id
}

// operation names the operation for the request log.
func operation(r *http.Request, _ []byte) string {
	name, _ := route(r)
	return name
}

// serve answers one request. It reads and ignores the body of a GET or DELETE, since a published client sends one.
func (svc *service) serve(w http.ResponseWriter, r *http.Request) {
	svc.purge()
	name, id := route(r)
	body, err := io.ReadAll(r.Body)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "The request body cannot be read")
		return
	case name == "legacyLogin":
		svc.legacyLogin(w, body)
		return
	case name == "legacyLogout":
		svc.legacyLogout(w, r)
		return
	}
	if !svc.checkVersion(w, r) {
		return
	}
	if name == "createSession" {
		svc.createSession(w, body)
		return
	}
	who, ok := svc.authenticate(w, r)
	if !ok || !svc.admit(w, who) {
		return
	}
	handle := svc.handler(name)
	if handle == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	handle(w, call{caller: who, id: id, body: body})
}

// checkVersion refuses a request that does not ask for v1, the only API version.
func (svc *service) checkVersion(w http.ResponseWriter, r *http.Request) bool {
	if r.Header.Get("Api-Version") == "v1" || svc.env.Switch(switchAPIVersion) == "ignore" {
		return true
	}
	if svc.env.Enabled(switchLenientSessions) && r.Header.Get("Api-Secret-Key") == "" {
		return true
	}
	refuse(w, svc.status(switchAPIVersion), "The api-version header is missing or not supported")
	return false
}

// readObject decodes a JSON object. An empty body is an empty object.
func readObject(body []byte, target any) error {
	if len(body) == 0 {
		body = []byte("{}")
	}
	return json.Unmarshal(body, target)
}
