package fortianalyzer

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Limits from "Adding API users" (login-max of FortiAnalyzer Cloud's API users) and from the default of
// idle_timeout_api.
const (
	loginMax    = 20
	idleTimeout = 900 * time.Second
)

// sessionBytes makes session strings as long as the vendor's samples.
const sessionBytes = 64

// login answers POST /p/forticloud_jsonrpc_login/, whose answer is no JSON-RPC envelope.
func (t *service) login(w http.ResponseWriter, r *http.Request) {
	var request struct {
		AccessToken string `json:"access_token"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	issued := t.tokens[request.AccessToken]
	switch {
	case err != nil:
		t.refuseLogin(w, http.StatusBadRequest, "invalid_request", "malformed JSON")
		return
	case issued == nil || !t.env.History.Live(issued.id) || issued.client != t.env.Switch(switchProduct):
		t.refuseLogin(w, http.StatusUnauthorized, "invalid_token", "Access token is invalid or expired")
		return
	case issued.user.forbidden && t.env.Switch(switchPermission) == "login":
		t.refuseLogin(w, http.StatusForbidden, "access_denied", "Permission denied")
		return
	case !t.makeRoom(issued.user):
		t.refuseLogin(w, http.StatusForbidden, "login_limit", "Too many concurrent logins")
		return
	}
	s := &session{id: t.env.Random.UUID(4), user: issued.user, opened: t.env.Now()}
	value := t.newSessionString()
	t.sessions[value] = s
	t.opened = append(t.opened, s)
	t.env.History.Issue(s.id, emulator.KindLeased, "", t.idleEnd(s))
	writeEscaped(w, map[string]string{"session": value})
}

// newSessionString makes base64 that has each of the characters that careless clients break on.
func (t *service) newSessionString() string {
	for {
		value := base64.StdEncoding.EncodeToString(t.env.Random.Bytes(sessionBytes))
		if strings.Contains(value, "+") && strings.Contains(value, "/") {
			return value // 64 bytes always end in "=="
		}
	}
}

// makeRoom sees to it that a login of the user stays within login-max. It reports false when it does not.
func (t *service) makeRoom(u *user) bool {
	t.opened = slices.DeleteFunc(t.opened, func(s *session) bool { return !t.env.History.Live(s.id) })
	limit := t.env.Integer(switchLoginMax)
	if limit == 0 {
		return true
	}
	var own []*session
	for _, s := range t.opened {
		if s.user == u {
			own = append(own, s)
		}
	}
	if len(own) >= limit && t.env.Switch(switchAtLoginMax) == "refuse" {
		return false
	}
	for ; len(own) >= limit; own = own[1:] {
		t.env.History.End(own[0].id, emulator.EndedEvicted)
	}
	return true
}

// idleEnd is when a session ends that is used now and then no more.
func (t *service) idleEnd(s *session) time.Time {
	end := t.env.Now().Add(t.env.Duration(switchIdleTimeout))
	if life := t.env.Duration(switchAbsoluteLife); life > 0 && s.opened.Add(life).Before(end) {
		return s.opened.Add(life)
	}
	return end
}

// endSessions ends the sessions of a user, or of all when it is nil.
func (t *service) endSessions(u *user, by string) {
	for _, s := range t.opened {
		if u == nil || s.user == u {
			t.env.History.End(s.id, by)
		}
	}
}
