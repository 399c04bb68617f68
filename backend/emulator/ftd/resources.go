package ftd

import (
	_ "embed"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// specification is the OpenAPI 2.0 document that client programs read first. It describes only the calls that
// this emulation serves.
//
//go:embed ngfw.json
var specification []byte

// authenticated calls next with the caller's session if the request has a live bearer token and the device is
// ready. Otherwise it answers with an error.
func (svc *service) authenticated(w http.ResponseWriter, r *http.Request, next func(http.ResponseWriter, *http.Request, *session)) {
	value := ""
	if scheme, rest, found := strings.Cut(r.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		value = strings.TrimSpace(rest)
	}
	caller := svc.access(value)
	switch {
	case caller == nil && svc.signedHere(value):
		writeStatus(w, svc.status(switchEndedTokenStatus), "The access token is expired or was revoked")
		return
	case caller == nil:
		writeStatus(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	caller.used = svc.env.Now()
	switch svc.env.Switch(switchDeviceState) {
	case "setup_wizard":
		writeError(w, http.StatusForbidden, "General", "", "The initial setup of the device is not complete.")
	case "busy":
		writeError(w, http.StatusLocked, "General", "", "The configuration database is locked.")
	default:
		next(w, r, caller)
	}
}

// specification answers GET /apispec/ngfw.json.
func (svc *service) specification(w http.ResponseWriter, r *http.Request, _ *session) {
	if r.Method != http.MethodGet {
		svc.refuseMethod(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(specification) // w is a buffer
}

// resource answers all paths below /api/fdm/{v}, except the token endpoint.
func (svc *service) resource(w http.ResponseWriter, r *http.Request, resource string, caller *session) {
	userID, isUser := strings.CutPrefix(resource, "/object/users/")
	sessionID, isSession := strings.CutPrefix(resource, "/action/activeusersessions/")
	get := r.Method == http.MethodGet
	switch {
	case resource == "/object/users" && get:
		svc.listUsers(w, r)
	case isUser:
		svc.oneUser(w, r, userID, caller)
	case resource == "/object/networks" && get:
		writePage(w, r, []any{anyNetwork(r)})
	case resource == "/object/localidentitysources" && get:
		writePage(w, r, []any{svc.localIdentitySource(r)})
	case resource == "/operational/systeminfo/default" && get:
		emulator.WriteJSON(w, http.StatusOK, systemInformation(r))
	case (resource == "/action/activeusersessions" || isSession) && caller.user.role == roleReadOnly:
		svc.refuseRole(w)
	case resource == "/action/activeusersessions" && get:
		svc.listSessions(w, r)
	case isSession:
		svc.oneSession(w, r, sessionID, caller)
	case slices.Contains(collections, resource):
		svc.refuseMethod(w)
	default:
		writeError(w, http.StatusNotFound, "General", "", "The requested resource does not exist.")
	}
}

// collections are the resources that lists have.
var collections = []string{
	"/object/users", "/object/networks", "/object/localidentitysources", "/action/activeusersessions", "/operational/systeminfo/default",
}

// refuseRole answers a call that the user's role does not allow.
func (svc *service) refuseRole(w http.ResponseWriter) {
	writeError(w, svc.status(switchForbiddenStatus), "General", "", "You do not have permission to perform this action.")
}

// selfLink is the address of an object.
func selfLink(r *http.Request, resource string) string {
	scheme := "https"
	if r.TLS == nil {
		scheme = "http"
	}
	return scheme + "://" + r.Host + prefix + "latest" + resource
}

// anyNetwork is a network object that every device has. Clients read it to verify a token.
func anyNetwork(r *http.Request) map[string]any {
	const id = "00000000-0000-0000-0000-000000000001"
	return map[string]any{
		"version": "1", "name": "any-ipv4", "description": "", "subType": "NETWORK", "value": "0.0.0.0/0",
		"isSystemDefined": true, "id": id, "type": "networkobject",
		"links": map[string]string{"self": selfLink(r, "/object/networks/"+id)},
	}
}

// localIdentitySource is the identity source of local users.
func (svc *service) localIdentitySource(r *http.Request) map[string]any {
	id := svc.env.Switch(switchLocalSource)
	return map[string]any{
		"version": "1", "name": "LocalIdentitySource", "id": id, "type": "localidentitysource",
		"links": map[string]string{"self": selfLink(r, "/object/localidentitysources/"+id)},
	}
}

// systemInformation is the device's description of itself. Cisco's Ansible module reads databaseInfo.buildVersion.
func systemInformation(r *http.Request) map[string]any {
	const build = "7.4.2-172"
	return map[string]any{
		"softwareVersion": build, "platformModel": "Cisco Firepower Threat Defense for VMware", "hostname": "edge",
		"databaseInfo": map[string]any{"buildVersion": build, "type": "databaseinfo"},
		"id":           "default", "type": "systeminformation",
		"links": map[string]string{"self": selfLink(r, "/operational/systeminfo/default")},
	}
}

// sessionID returns a session's id in activeusersessions.
func (svc *service) sessionID(s *session) string {
	if svc.env.Enabled(switchSessionID) {
		return s.id
	}
	return s.listed
}

// listedSessions returns the sessions in activeusersessions.
func (svc *service) listedSessions() []*session {
	svc.prune()
	var listed []*session
	for _, s := range svc.sessions {
		if s.origin != originCustom || svc.env.Enabled(switchListsCustom) {
			listed = append(listed, s)
		}
	}
	return listed
}

// showSession returns a session in the form of the API, with times in milliseconds.
func (svc *service) showSession(r *http.Request, s *session) map[string]any {
	id, name := svc.sessionID(s), s.user.name
	if s.origin == originCustom && svc.env.Switch(switchCustomName) == "subject" {
		name = s.subject
	}
	return map[string]any{
		"userName": name, "identitySourceId": svc.sourceOf(s.user),
		"issuedAt": s.issued.UnixMilli(), "expiresAt": s.accessExpires.UnixMilli(),
		"sessionDuration": strconv.FormatInt(svc.env.Now().Sub(s.issued).Milliseconds(), 10),
		"id":              id, "type": "ActiveUserSessions",
		"links": map[string]string{"self": selfLink(r, "/action/activeusersessions/"+id)},
	}
}

// listSessions answers GET /action/activeusersessions.
func (svc *service) listSessions(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for _, s := range svc.listedSessions() {
		items = append(items, svc.showSession(r, s))
	}
	writePage(w, r, items)
}

// oneSession answers GET and DELETE of /action/activeusersessions/{id}.
func (svc *service) oneSession(w http.ResponseWriter, r *http.Request, id string, caller *session) {
	var found *session
	for _, s := range svc.listedSessions() {
		if svc.sessionID(s) == id {
			found = s
		}
	}
	switch {
	case id == "default" && r.Method == http.MethodDelete && caller.user.role == roleAdmin && svc.env.Switch(switchDefaultSession) != "none":
		svc.deleteDefault(caller)
		w.WriteHeader(svc.status(switchSessionDelete))
	case found == nil:
		writeError(w, http.StatusNotFound, "General", "", "The requested object does not exist.")
	case r.Method == http.MethodGet:
		emulator.WriteJSON(w, http.StatusOK, svc.showSession(r, found))
	case r.Method != http.MethodDelete:
		svc.refuseMethod(w)
	case caller.user.role != roleAdmin && found.user != caller.user: // only administrators end others' sessions
		svc.refuseRole(w)
	default:
		svc.revokeSession(found)
		w.WriteHeader(svc.status(switchSessionDelete))
	}
}

// deleteDefault answers the deletion of the documented id "default". It is not documented which session that is.
func (svc *service) deleteDefault(caller *session) {
	if svc.env.Switch(switchDefaultSession) == "caller" {
		svc.revokeSession(caller)
		return
	}
	svc.endAll(emulator.EndedRevoked)
}
