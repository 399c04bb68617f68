// Package ftd emulates the logins and tokens of the on-box REST API of Cisco Secure Firewall Threat Defense. The
// sources are "Authenticating Your REST API Client Using OAuth" (Cisco FTD REST API), the token reference of API
// version 6 and the OpenAPI document of API version 2.
//
// The device counts sessions. A session is a token pair, whose two tokens share their jti, or a login to the
// device manager's web interface. Each session is one credential in the history. A session that was opened with
// a password has the kind "login". A custom token has the kind "leased", and its desired_subject is the marker.
// The credential expires with its last token, so a session that can still be refreshed is live.
package ftd

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// versions are the API versions that the device supports, "latest" last as clients expect.
var versions = []string{"v1", "v2", "v3", "v4", "v5", "v6", "latest"}

// prefix precedes version and resource in every path but two.
const prefix = "/api/fdm/"

// tokenResource is the resource that all grants are sent to.
const tokenResource = "/fdm/token"

// service is the state of the emulation. The vendor's lock guards it.
type service struct {
	env  *emulator.Env
	root string // the first password of admin, which Reset restores

	signingKey []byte
	users      []*user
	sessions   []*session // live ones, in the order in which they were opened
	tokens     map[string]*token
}

// New returns FTD for [emulator.Start].
func New() emulator.Vendor {
	return emulator.Vendor{Name: "ftd", Switches: switches(), New: newService}
}

// newService makes the device with its only local user, admin.
func newService(env *emulator.Env) emulator.Service {
	svc := &service{env: env, root: newPassword(env), signingKey: env.Random.Bytes(32)}
	svc.reset()
	return emulator.Service{
		Endpoints: []emulator.Endpoint{{
			Name:      emulator.EndpointURL,
			Handler:   http.HandlerFunc(svc.serve),
			Operation: operation,
			ErrorBody: errorBody,
		}},
		Credentials: map[string]string{"username": adminName, "password": svc.root},
		Actions:     svc.actions(),
		Reset:       svc.reset,
	}
}

// newPassword makes a password that the device's own policy accepts.
func newPassword(env *emulator.Env) string { return "Aa1!" + env.Random.Hex(10) }

// reset returns to a device with admin's first password and without sessions.
func (svc *service) reset() {
	svc.users = []*user{newAdmin(svc.env, svc.root)}
	svc.sessions = nil
	svc.tokens = map[string]*token{}
}

// operation names a token request by its grant type, and other requests by their resource.
func operation(r *http.Request, body []byte) string {
	_, resource, found := splitPath(r.URL.Path)
	if !found {
		return ""
	}
	if resource != tokenResource {
		parts := strings.Split(strings.TrimPrefix(resource, "/"), "/")
		return strings.Join(parts[:min(len(parts), 2)], "/")
	}
	var request struct {
		GrantType string `json:"grant_type"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return ""
	}
	return request.GrantType
}

// splitPath splits a path such as /api/fdm/v6/object/users into v6 and /object/users.
func splitPath(path string) (version, resource string, found bool) {
	rest, found := strings.CutPrefix(path, prefix)
	if !found {
		return "", "", false
	}
	version, resource, found = strings.Cut(rest, "/")
	return version, "/" + resource, found
}

// serve answers one request.
func (svc *service) serve(w http.ResponseWriter, r *http.Request) {
	if svc.env.Switch(switchDeviceState) == "booting" {
		writeStatus(w, http.StatusServiceUnavailable, "Service Unavailable")
		return
	}
	switch version, resource, found := splitPath(r.URL.Path); {
	case r.URL.Path == "/api/versions" && r.Method == http.MethodGet:
		emulator.WriteJSON(w, http.StatusOK, map[string]any{"supportedVersions": versions})
	case r.URL.Path == "/apispec/ngfw.json":
		svc.authenticated(w, r, svc.specification)
	case found && !slices.Contains(versions, version):
		writeStatus(w, http.StatusUnauthorized, "Unauthorized") // the document says 401, not 404
	case found && resource == tokenResource && r.Method == http.MethodPost:
		svc.grant(w, r)
	case found && resource == tokenResource:
		svc.refuseMethod(w)
	case found:
		svc.authenticated(w, r, func(w http.ResponseWriter, r *http.Request, caller *session) {
			svc.resource(w, r, resource, caller)
		})
	default:
		writeError(w, http.StatusNotFound, "General", "", "The requested resource does not exist.")
	}
}
