package ftd

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Values of grant_type.
const (
	grantPassword = "password"
	grantCustom   = "custom_token"
	grantRefresh  = "refresh_token"
	grantRevoke   = "revoke_token"
)

// tokenRequest is the body of a token request, with the members of all grants. Absent members are nil or "".
type tokenRequest struct {
	GrantType string `json:"grant_type"`

	Username string `json:"username"`
	Password string `json:"password"`

	AccessToken           string  `json:"access_token"`
	DesiredExpires        *int64  `json:"desired_expires_in"`
	DesiredRefreshExpires *int64  `json:"desired_refresh_expires_in"`
	DesiredSubject        *string `json:"desired_subject"`
	DesiredRefreshCount   *int64  `json:"desired_refresh_count"`

	RefreshToken string `json:"refresh_token"`

	TokenToRevoke   *string `json:"token_to_revoke"`
	SubjectToRevoke *string `json:"custom_token_subject_to_revoke"`
	IDToRevoke      *string `json:"custom_token_id_to_revoke"`
}

// grant answers POST /fdm/token. It ignores the Authorization header: clients send none, an expired token, or
// the word Bearer alone.
func (svc *service) grant(w http.ResponseWriter, r *http.Request) {
	var request tokenRequest
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		writeStatus(w, http.StatusBadRequest, "The request body is malformed")
		return
	}
	switch request.GrantType {
	case grantPassword:
		svc.grantLogin(w, request)
	case grantCustom:
		svc.grantCustomToken(w, request)
	case grantRefresh:
		svc.grantRefreshed(w, request)
	case grantRevoke:
		svc.revoke(w, request)
	default:
		writeStatus(w, http.StatusBadRequest, "The grant type is missing or not supported")
	}
}

// writePair answers with a pair of tokens.
func (svc *service) writePair(w http.ResponseWriter, p pair) {
	body := map[string]any{
		"access_token": p.access,
		"expires_in":   int64(p.life / time.Second),
		"token_type":   "Bearer",
	}
	switch {
	case p.refresh != "":
		body["refresh_token"], body["refresh_expires_in"] = p.refresh, int64(p.refreshLife/time.Second)
	case svc.env.Switch(switchNoRefreshMembers) == "null":
		body["refresh_token"], body["refresh_expires_in"] = nil, nil
	case svc.env.Switch(switchNoRefreshMembers) == "empty":
		body["refresh_token"], body["refresh_expires_in"] = "", 0
	}
	emulator.WriteJSON(w, http.StatusOK, body)
}

// grantLogin answers the password grant.
func (svc *service) grantLogin(w http.ResponseWriter, request tokenRequest) {
	u := svc.userNamed(request.Username)
	if u != nil && svc.env.Now().Before(u.locked) {
		writeStatus(w, svc.status(switchLockStatus), "Too many failed attempts. Please try again later.")
		return
	}
	if u == nil || u.password != request.Password {
		svc.countFailure(u)
		writeStatus(w, http.StatusBadRequest, "Failed to authenticate user")
		return
	}
	u.failures, u.known = 0, true
	s := &session{
		origin: originPassword, subject: u.name, user: u,
		life: passwordLife, refreshLife: passwordRefreshLife, refreshes: unlimited,
	}
	if svc.env.Enabled(switchPasswordDesired) {
		var refusal string
		if request.DesiredExpires != nil {
			s.life, refusal = svc.desired("desired_expires_in", *request.DesiredExpires, maximumLife)
		}
		if request.DesiredRefreshExpires != nil && refusal == "" {
			s.refreshLife, refusal = svc.desired("desired_refresh_expires_in", *request.DesiredRefreshExpires, maximumRefreshLife)
		}
		if refusal != "" {
			writeStatus(w, http.StatusBadRequest, refusal)
			return
		}
	}
	svc.open(s)
	svc.writePair(w, svc.issue(s))
}

// countFailure counts a wrong password. After too many of them the device refuses the user's logins for some time.
func (svc *service) countFailure(u *user) {
	limit := svc.env.Integer(switchLockThreshold)
	if u == nil || limit == 0 {
		return
	}
	if u.failures++; u.failures >= limit {
		u.failures, u.locked = 0, svc.env.Now().Add(svc.env.Duration(switchLockDuration))
	}
}

// manager returns the session of an access token that may issue and revoke tokens: it was opened with a password,
// by a user whose role allows that. refusal is the message of the refusal, "" if the session may do it.
func (svc *service) manager(access string) (login *session, refusal string) {
	login = svc.access(access)
	switch {
	case login == nil:
		return nil, "The access token is invalid or expired"
	case login.origin != originPassword:
		return nil, "The access token must be a password-granted token"
	case login.user.role != roleAdmin && !svc.env.Enabled(switchWeakRoles):
		return nil, "The user does not have permission to manage tokens"
	}
	login.used = svc.env.Now()
	return login, ""
}

// grantCustomToken answers the custom_token grant: a login requests a token with its own lifetime and subject.
func (svc *service) grantCustomToken(w http.ResponseWriter, request tokenRequest) {
	login, refusal := svc.manager(request.AccessToken)
	if refusal != "" {
		writeStatus(w, http.StatusBadRequest, refusal)
		return
	}
	s := &session{origin: originCustom, user: login.user, parent: login.id}
	for _, set := range []func(*session, tokenRequest) string{svc.setSubject, svc.setLife, svc.setRefresh} {
		if refusal := set(s, request); refusal != "" {
			writeStatus(w, http.StatusBadRequest, refusal)
			return
		}
	}
	svc.open(s)
	svc.writePair(w, svc.issue(s))
}

// setSubject sets a session's subject to desired_subject. refusal is the message of the refusal, "" if the
// subject is allowed.
func (svc *service) setSubject(s *session, request tokenRequest) (refusal string) {
	if request.DesiredSubject == nil || *request.DesiredSubject == "" {
		if svc.env.Switch(switchMissingSubject) == "reject" {
			return "desired_subject is required"
		}
		return ""
	}
	s.subject = *request.DesiredSubject
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch limit := svc.env.Integer(switchSubjectLength); {
	case limit > 0 && len(s.subject) > limit:
		return "desired_subject is too long"
	case svc.env.Switch(switchSubjectCharacters) == "plain" && strings.Trim(s.subject, plain) != "":
		return "desired_subject contains characters that are not allowed"
	case svc.env.Switch(switchDuplicateSubject) == "reject" && len(svc.withSubject(s.subject)) > 0:
		return "desired_subject is in use by another token"
	}
	return ""
}

// setLife sets a session's lifetime to desired_expires_in. refusal is as in setSubject.
func (svc *service) setLife(s *session, request tokenRequest) (refusal string) {
	switch {
	case request.DesiredExpires != nil:
		s.life, refusal = svc.desired("desired_expires_in", *request.DesiredExpires, maximumLife)
		return refusal
	case svc.env.Switch(switchMissingExpiry) == "reject":
		return "desired_expires_in is required"
	}
	s.life = passwordLife
	return ""
}

// setRefresh sets a session's refreshes to desired_refresh_count, and their lifetime to
// desired_refresh_expires_in. refusal is as in setSubject.
func (svc *service) setRefresh(s *session, request tokenRequest) (refusal string) {
	if request.DesiredRefreshCount == nil {
		if svc.env.Switch(switchMissingCount) == "reject" {
			return "desired_refresh_count is required"
		}
		return ""
	}
	count, limit := *request.DesiredRefreshCount, int64(svc.env.Integer(switchMaximumCount))
	switch {
	case count < 0 || limit > 0 && count > limit || count > 1<<31:
		return "desired_refresh_count is out of range"
	case count == 0:
		return "" // desired_refresh_expires_in is not required then
	case request.DesiredRefreshExpires == nil:
		return "desired_refresh_expires_in is required"
	}
	s.refreshes = int(count)
	s.refreshLife, refusal = svc.desired("desired_refresh_expires_in", *request.DesiredRefreshExpires, maximumRefreshLife)
	if refusal == "" && s.refreshLife <= s.life && svc.env.Switch(switchShortRefresh) == "reject" {
		refusal = "desired_refresh_expires_in must exceed desired_expires_in"
	}
	return refusal
}

// desired checks the lifetime in seconds that a member of the request asks for. refusal is as in setSubject.
func (svc *service) desired(member string, seconds int64, maximum time.Duration) (life time.Duration, refusal string) {
	switch {
	case seconds < 1 || seconds < int64(svc.env.Integer(switchMinimumExpiry)):
		return 0, member + " is too small"
	case seconds > int64(maximum/time.Second) && svc.env.Switch(switchAboveMaximum) == "reject":
		return 0, member + " exceeds the maximum"
	case seconds > int64(maximum/time.Second):
		return maximum, ""
	}
	return time.Duration(seconds) * time.Second, ""
}

// grantRefreshed answers the refresh_token grant: it exchanges a refresh token for a new pair of the same session.
func (svc *service) grantRefreshed(w http.ResponseWriter, request tokenRequest) {
	k := svc.tokens[request.RefreshToken]
	if !svc.valid(k) || !k.refresh || k.used && svc.env.Switch(switchRefreshReuse) == "reject" || k.session.refreshes == 0 {
		writeStatus(w, svc.status(switchFailedRefresh), "The refresh token is invalid or expired")
		return
	}
	s := k.session
	k.used = true
	for _, old := range s.tokens {
		if !old.refresh && svc.env.Enabled(switchRefreshKills) {
			old.revoked = true
		}
	}
	if s.refreshes > 0 {
		s.refreshes--
	}
	returns := !svc.occupies(s) // another session may have been opened since the access token expired
	s.refreshed, s.used = svc.env.Now(), svc.env.Now()
	p := svc.issue(s)
	if returns {
		svc.evict(s)
	}
	svc.writePair(w, p)
}
