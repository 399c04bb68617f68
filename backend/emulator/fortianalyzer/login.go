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

// sessionBytes is the number of random bytes in a session string. It makes session strings as long as the
// vendor's samples.
const sessionBytes = 64

// login answers POST /p/forticloud_jsonrpc_login/. Its answer has no JSON-RPC envelope.
func (svc *service) login(w http.ResponseWriter, r *http.Request) {
	var request struct {
		AccessToken string `json:"access_token"`
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	issued := svc.tokens[request.AccessToken]
	switch {
	case err != nil:
		svc.refuseLogin(w, http.StatusBadRequest, "invalid_request", "malformed JSON")
		return
	case issued == nil || !svc.env.History.Live(issued.id) || issued.client != svc.env.Switch(switchProduct):
		svc.refuseLogin(w, http.StatusUnauthorized, "invalid_token", "Access token is invalid or expired")
		return
	case issued.user.forbidden && svc.env.Switch(switchPermission) == "login":
		svc.refuseLogin(w, http.StatusForbidden, "access_denied", "Permission denied")
		return
	case !svc.makeRoom(issued.user):
		svc.refuseLogin(w, http.StatusForbidden, "login_limit", "Too many concurrent logins")
		return
	}
	s := &session{id: svc.env.Random.UUID(4), user: issued.user, opened: svc.env.Now()}
	value := svc.newSessionString()
	svc.sessions[value] = s
	svc.opened = append(svc.opened, s)
	svc.env.History.Issue(s.id, emulator.KindLeased, "", svc.idleEnd(s))
	writeEscaped(w, map[string]string{"session": value})
}

// newSessionString makes a base64 string with each of the characters +, / and =, which clients must escape.
func (svc *service) newSessionString() string {
	for {
		value := base64.StdEncoding.EncodeToString(svc.env.Random.Bytes(sessionBytes))
		if strings.Contains(value, "+") && strings.Contains(value, "/") {
			return value // the base64 of 64 bytes always ends in "=="
		}
	}
}

// makeRoom ends the user's oldest sessions until one more is within login-max, if the switch at_login_max is
// evict_oldest. It reports false if one more login exceeds login-max.
func (svc *service) makeRoom(u *user) bool {
	svc.opened = slices.DeleteFunc(svc.opened, func(s *session) bool { return !svc.env.History.Live(s.id) })
	limit := svc.env.Integer(switchLoginMax)
	if limit == 0 {
		return true
	}
	var own []*session
	for _, s := range svc.opened {
		if s.user == u {
			own = append(own, s)
		}
	}
	if len(own) >= limit && svc.env.Switch(switchAtLoginMax) == "refuse" {
		return false
	}
	for ; len(own) >= limit; own = own[1:] {
		svc.env.History.End(own[0].id, emulator.EndedEvicted)
	}
	return true
}

// idleEnd returns the time at which a session ends if this is its last use.
func (svc *service) idleEnd(s *session) time.Time {
	end := svc.env.Now().Add(svc.env.Duration(switchIdleTimeout))
	if life := svc.env.Duration(switchAbsoluteLife); life > 0 && s.opened.Add(life).Before(end) {
		return s.opened.Add(life)
	}
	return end
}

// endSessions ends the sessions of a user, or of all users if u is nil.
func (svc *service) endSessions(u *user, by string) {
	for _, s := range svc.opened {
		if u == nil || s.user == u {
			svc.env.History.End(s.id, by)
		}
	}
}
