package ftd

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// adminName is the only local user of a device.
const adminName = "admin"

// Roles of users.
const (
	roleAdmin     = "ROLE_ADMIN"
	roleReadWrite = "ROLE_READ_WRITE"
	roleReadOnly  = "ROLE_READ_ONLY"
)

// The identity sources of users: the one of local users, which is the same on every device, and the device's only
// RADIUS server.
const (
	localSourceID    = "e3e74c32-3c03-11e8-983b-95c21a1b6da9"
	externalSourceID = "5a0c9f7e-6a54-11ee-b962-0242ac120002"
)

// masked replaces a password in every answer.
const masked = "*********"

// user is a local or external user of the device.
type user struct {
	id, version    string
	name, password string
	role           string
	external       bool // a RADIUS server stores the password
	known          bool // the user is an object; an external user becomes one at the first login
	preferences    json.RawMessage
	failures       int       // wrong passwords since the last right one
	locked         time.Time // end of the time in which logins are refused
}

// newAdmin makes the local user.
func newAdmin(env *emulator.Env, password string) *user {
	return &user{
		id: env.Random.UUID(1), version: env.Random.Hex(6),
		name: adminName, password: password, role: roleAdmin, known: true,
		preferences: json.RawMessage(`{"preferredTimeZone":"UTC","colorTheme":"NORMAL_CISCO_IDENTITY","type":"userpreferences"}`),
	}
}

// userNamed returns the user with a name, or nil.
func (svc *service) userNamed(name string) *user {
	for _, u := range svc.users {
		if u.name == name {
			return u
		}
	}
	return nil
}

// sourceOf returns the identitySourceId of a user.
func (svc *service) sourceOf(u *user) string {
	if u.external {
		return externalSourceID
	}
	return svc.env.Switch(switchLocalSource)
}

// isObject reports whether the API shows a user.
func (svc *service) isObject(u *user) bool {
	return !u.external || u.known && svc.env.Switch(switchExternalUsers) == "objects"
}

// showUser returns a user in the form of the API.
func (svc *service) showUser(r *http.Request, u *user) map[string]any {
	return map[string]any{
		"version": u.version, "name": u.name, "identitySourceId": svc.sourceOf(u), "userRole": u.role,
		"password": masked, "newPassword": masked, "userPreferences": u.preferences,
		"userServiceTypes": []string{"MGMT"}, "id": u.id, "type": "user",
		"links": map[string]string{"self": selfLink(r, "/object/users/"+u.id)},
	}
}

// listUsers answers GET /object/users.
func (svc *service) listUsers(w http.ResponseWriter, r *http.Request) {
	items := []any{}
	for _, u := range svc.users {
		if svc.isObject(u) && matchesFilter(r, u.name) {
			items = append(items, svc.showUser(r, u))
		}
	}
	writePage(w, r, items)
}

// oneUser answers GET and PUT of /object/users/{id}.
func (svc *service) oneUser(w http.ResponseWriter, r *http.Request, id string, caller *session) {
	var found *user
	for _, u := range svc.users {
		if u.id == id && svc.isObject(u) {
			found = u
		}
	}
	switch {
	case found == nil:
		writeError(w, http.StatusNotFound, "General", "", "The requested object does not exist.")
	case r.Method == http.MethodGet:
		emulator.WriteJSON(w, http.StatusOK, svc.showUser(r, found))
	case r.Method == http.MethodPut:
		svc.changeUser(w, r, found, caller)
	default:
		svc.refuseMethod(w)
	}
}

// userChange is the body of a PUT: the whole object. Its password is the current password.
type userChange struct {
	ID          string          `json:"id"`
	Version     string          `json:"version"`
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Password    string          `json:"password"`
	NewPassword string          `json:"newPassword"`
	Source      string          `json:"identitySourceId"`
	Role        string          `json:"userRole"`
	Services    []string        `json:"userServiceTypes"`
	Preferences json.RawMessage `json:"userPreferences"`
}

// refusal returns code and description of the error in a change, or "" for a valid change. Clients read the
// code. A PUT replaces the whole object, so a missing member is a change of it.
func (svc *service) refusal(u *user, change userChange) (code, description string) {
	switch {
	case svc.env.Switch(switchHARole) == "standby":
		return "notActiveUnit", "Users cannot be changed on the standby unit."
	case change.ID != "" && change.ID != u.id:
		return "invalidId", "Validation failed due to an invalid UUID"
	case change.Type != "user":
		return "invalidType", "The type must be user."
	case change.Version != u.version:
		return "invalidVersion", "The object was changed since it was read; the version does not match."
	case change.Name != u.name || change.Source != svc.sourceOf(u) || change.Role != u.role:
		return "notEditable", "Name, identity source and role of this user cannot be changed."
	case len(change.Services) != 1 || change.Services[0] != "MGMT":
		return "invalidServiceTypes", "The user service types of this user must be MGMT."
	case change.NewPassword == "" || change.NewPassword == masked:
		return "", ""
	case u.external && svc.env.Switch(switchExternalChange) == "reject":
		return "notEditable", "The password of this user is stored by an external server."
	case u.external:
		return "", ""
	case change.Password != u.password:
		return "invalidPassword", "The current password is wrong."
	case svc.env.Switch(switchPasswordPolicy) == "complex" && (change.NewPassword == u.password || !complexEnough(change.NewPassword)):
		return "weakPassword", "The new password does not meet the password policy."
	}
	return "", ""
}

// complexEnough reports whether a password has 8 characters, upper and lower case, a digit and another character.
func complexEnough(password string) bool {
	has := func(is func(rune) bool) bool { return strings.IndexFunc(password, is) >= 0 }
	other := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	return len(password) >= 8 && has(unicode.IsUpper) && has(unicode.IsLower) && has(unicode.IsDigit) && has(other)
}

// changeUser answers PUT /object/users/{id}.
func (svc *service) changeUser(w http.ResponseWriter, r *http.Request, u *user, caller *session) {
	var change userChange
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &change)
	}
	if err != nil {
		writeError(w, http.StatusBadRequest, "General", "", "The request body is malformed.")
		return
	}
	if caller.user.role != roleAdmin {
		svc.refuseRole(w)
		return
	}
	if code, description := svc.refusal(u, change); description != "" {
		writeError(w, http.StatusUnprocessableEntity, "Validation", code, description)
		return
	}
	u.version = svc.env.Random.Hex(6)
	if len(change.Preferences) > 0 {
		u.preferences = change.Preferences
	}
	if change.NewPassword != "" && change.NewPassword != masked && !u.external {
		u.password = change.NewPassword
		svc.passwordChanged(u, caller)
	}
	emulator.WriteJSON(w, http.StatusOK, svc.showUser(r, u))
}

// passwordChanged ends the sessions that a password change ends: always the calling session, as a client by
// Cisco documents, and others by the switch password_change_ends.
func (svc *service) passwordChanged(u *user, caller *session) {
	extent := svc.env.Switch(switchPasswordChange)
	for _, s := range append([]*session(nil), svc.sessions...) {
		if s == caller || s.user == u && (extent == "everything" || extent == "logins" && s.origin != originCustom) {
			svc.end(s, emulator.EndedPasswordChanged)
		}
	}
}

// matchesFilter reports whether a name meets the query's filter: name:x for equal names, or, since release 6.4, fts~x for
// names that contain x. No other filter matches anything.
func matchesFilter(r *http.Request, name string) bool {
	filter := r.URL.Query().Get("filter")
	if filter == "" {
		return true
	}
	if wanted, ok := strings.CutPrefix(filter, "name:"); ok {
		return name == wanted
	}
	part, ok := strings.CutPrefix(filter, "fts~")
	return ok && strings.Contains(strings.ToLower(name), strings.ToLower(part))
}

// writePage answers one page of a list, by the query's offset and limit.
func writePage(w http.ResponseWriter, r *http.Request, items []any) {
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n >= 0 {
			return n
		}
		return otherwise
	}
	offset, limit, count := number("offset", 0), number("limit", 10), len(items)
	start := min(offset, count)
	end := count
	if limit > 0 { // 0 means all
		end = min(start+limit, count)
	}
	pages := 0
	if count > 0 && limit > 0 {
		pages = (count + limit - 1) / limit
	}
	emulator.WriteJSON(w, http.StatusOK, map[string]any{
		"items": items[start:end],
		"paging": map[string]any{
			"prev": []string{}, "next": []string{}, "limit": limit, "offset": offset, "count": count, "pages": pages,
		},
	})
}
