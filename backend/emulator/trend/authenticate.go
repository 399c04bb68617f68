package trend

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// caller is the API key or the session that makes a request.
type caller struct {
	key  *key // nil for a session
	role *role
}

// limited names the key or user whose rate limit counts the request.
func (c caller) limited() string {
	if c.key == nil {
		return "user " + userName
	}
	return "key " + strconv.Itoa(c.key.id)
}

// session is the login of the tenant's only user.
type session struct {
	rid  string // "" if the legacy API opened the session
	used time.Time
}

// newSecret makes the random part of a key's secret.
func newSecret(env *emulator.Env) string {
	return base64.StdEncoding.EncodeToString(env.Random.Bytes(32))
}

// authenticate returns the caller of a request. If the request is not authenticated, it answers with an error
// and reports false.
func (svc *service) authenticate(w http.ResponseWriter, r *http.Request) (caller, bool) {
	who := caller{}
	if secret := r.Header.Get("Api-Secret-Key"); secret != "" {
		who.key = svc.keyOf(secret)
		if who.key != nil {
			who.role = svc.roleByID(who.key.role)
		}
	} else if svc.inSession(r) {
		who.role = svc.roleByID(roleFullAccess)
	}
	switch {
	case who.role == nil:
		refuse(w, svc.status(switchBadSecret), "Authentication failed")
		return who, false
	case !who.role.AllowWebService && svc.env.Switch(switchWebService) == "enforced":
		refuse(w, http.StatusForbidden, "Not authorized to use the web service")
		return who, false
	}
	return who, true
}

// keyOf returns the key that a secret authenticates, or nil. A wrong secret with the prefix of a key counts as a
// failed attempt for that key. Too many of them lock the key for some time.
func (svc *service) keyOf(secret string) *key {
	now := svc.env.Now()
	for _, k := range svc.keys {
		if !k.unlock.IsZero() && !now.Before(k.unlock) {
			k.active, k.unlock, k.failures = true, time.Time{}, 0
		}
		prefix := k.secret[:strings.LastIndex(k.secret, ":")+1]
		switch {
		case k.secret == secret && k.active && !svc.expired(k):
			k.lastSignIn, k.failures = now, 0
			return k
		case k.secret == secret:
			return nil
		case strings.HasPrefix(secret, prefix):
			k.failures++
			limit := svc.env.Integer(switchLockThreshold)
			if limit > 0 && k.failures >= limit && k.active {
				k.active, k.unlock = false, now.Add(svc.env.Duration(switchLockDuration))
			}
		}
	}
	return nil
}

// inSession reports whether a request belongs to a live session.
func (svc *service) inSession(r *http.Request) bool {
	cookie, err := r.Cookie("sID")
	if err != nil {
		return false
	}
	s, now := svc.sessions[cookie.Value], svc.env.Now()
	if s == nil || now.Sub(s.used) >= svc.env.Duration(switchSessionIdle) {
		return false
	}
	if !svc.env.Enabled(switchLenientSessions) && (s.rid == "" || r.Header.Get("Rid") != s.rid) {
		return false
	}
	s.used = now
	return true
}

// login is the body of a login.
type login struct {
	UserName   string `json:"userName"`
	Password   string `json:"password"`
	TenantName string `json:"tenantName"`
	MFACode    string `json:"mfaCode"`
}

// accepted reports whether a login is correct, and counts wrong ones. Too many of them lock the user.
func (svc *service) accepted(l login) bool {
	limit := svc.env.Integer(switchUserLock)
	if limit > 0 && svc.failures >= limit {
		return false
	}
	if !svc.correct(l) {
		if l.UserName == userName {
			svc.failures++
		}
		return false
	}
	svc.failures = 0
	return true
}

// correct reports whether a login has the user's name and password, and the right tenant and code.
func (svc *service) correct(l login) bool {
	switch {
	case l.UserName != userName || l.Password != svc.password:
		return false
	case l.TenantName != tenantName && (l.TenantName != "" || svc.env.Enabled(switchTenant)):
		return false
	}
	return l.MFACode == mfaCode || !svc.env.Enabled(switchMFA)
}

// openSession logs the user in and returns the sID.
func (svc *service) openSession(rid string) string {
	sid := strings.ToUpper(svc.env.Random.Hex(16))
	svc.sessions[sid] = &session{rid: rid, used: svc.env.Now()}
	return sid
}

// createSession answers POST /sessions with a cookie and an RID.
func (svc *service) createSession(w http.ResponseWriter, body []byte) {
	var request login
	if err := json.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, "The request body is not valid JSON")
		return
	}
	if !svc.accepted(request) {
		refuse(w, svc.status(switchBadLogin), "User name or password is incorrect")
		return
	}
	rid := strings.ToUpper(svc.env.Random.Hex(16))
	http.SetCookie(w, &http.Cookie{Name: "sID", Value: svc.openSession(rid), Path: "/", Secure: true, HttpOnly: true})
	emulator.WriteJSON(w, http.StatusOK, map[string]any{
		"administratorID": 1,
		"created":         svc.env.Now().UnixMilli(),
		"lastActivity":    svc.env.Now().UnixMilli(),
		"accessType":      "webService",
		"RID":             rid,
	})
}

// legacyLogin answers POST /rest/authentication/login/primary with the sID as plain text. Such a session has no
// RID, so the calls under /api refuse it if the switch lenient_sessions is off.
func (svc *service) legacyLogin(w http.ResponseWriter, body []byte) {
	var request struct {
		Credentials login `json:"dsCredentials"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		refuseLegacy(w, http.StatusBadRequest, "The request body is not valid JSON")
		return
	}
	if !svc.accepted(request.Credentials) {
		refuseLegacy(w, svc.status(switchBadLogin), "User name or password is incorrect")
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(svc.openSession(""))) // w is a buffer
}

// legacyLogout answers DELETE /rest/authentication/logout?sID=.
func (svc *service) legacyLogout(w http.ResponseWriter, r *http.Request) {
	delete(svc.sessions, r.URL.Query().Get("sID"))
	w.WriteHeader(http.StatusOK)
}
