package ftd

import (
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// revoke answers the revoke_token grant. The request names exactly one token, subject or id.
func (svc *service) revoke(w http.ResponseWriter, request tokenRequest) {
	if _, refusal := svc.manager(request.AccessToken); refusal != "" {
		writeStatus(w, http.StatusBadRequest, refusal)
		return
	}
	given := 0
	for _, member := range []*string{request.TokenToRevoke, request.SubjectToRevoke, request.IDToRevoke} {
		if member != nil && *member != "" {
			given++
		}
	}
	if given != 1 {
		writeStatus(w, http.StatusBadRequest,
			"Exactly one of token_to_revoke, custom_token_subject_to_revoke and custom_token_id_to_revoke must be given")
		return
	}
	gone, onUnknown := false, switchRevokeUnknownToken
	switch {
	case request.TokenToRevoke != nil && *request.TokenToRevoke != "":
		gone = svc.revokeToken(*request.TokenToRevoke)
	case request.SubjectToRevoke != nil && *request.SubjectToRevoke != "":
		gone, onUnknown = svc.revokeSubject(*request.SubjectToRevoke), switchRevokeUnknownSubj
	default:
		gone = svc.revokeID(*request.IDToRevoke)
	}
	if !gone && svc.env.Switch(onUnknown) == "bad_request" {
		writeStatus(w, http.StatusBadRequest, "The token to revoke is invalid or expired")
		return
	}
	writeStatus(w, http.StatusOK, "OK")
}

// revokeToken revokes by an access or refresh token. It reports false if the token is not live.
func (svc *service) revokeToken(value string) bool {
	k := svc.tokens[value]
	if !svc.valid(k) {
		return false
	}
	if svc.env.Switch(switchRevokeToken) == "pair" {
		return svc.revokeSession(k.session)
	}
	k.revoked = true
	svc.updateExpiry(k.session)
	if !svc.env.History.Live(k.session.id) {
		svc.endChildren(k.session)
	}
	return true
}

// revokeSubject revokes custom tokens by their desired_subject. It reports false if there are none.
func (svc *service) revokeSubject(subject string) bool {
	found := svc.withSubject(subject)
	for i, s := range found {
		if i == 0 || svc.env.Switch(switchRevokeSubject) == "all" {
			svc.revokeSession(s)
		}
	}
	return len(found) > 0
}

// revokeID revokes a custom token by its jti. It reports false if there is none.
func (svc *service) revokeID(id string) bool {
	svc.prune()
	for _, s := range svc.sessions {
		if s.id == id && s.origin == originCustom {
			return svc.revokeSession(s)
		}
	}
	return false
}

// withSubject returns the live custom tokens of a subject, the oldest first.
func (svc *service) withSubject(subject string) []*session {
	svc.prune()
	var found []*session
	for _, s := range svc.sessions {
		if s.origin == originCustom && s.subject == subject {
			found = append(found, s)
		}
	}
	return found
}

// revokeSession ends a session and, if the switch parent_revoke_kills_custom is on, the custom tokens that it
// issued. It reports false if the session had ended before.
func (svc *service) revokeSession(s *session) bool {
	ended := svc.end(s, emulator.EndedRevoked)
	svc.endChildren(s)
	return ended
}

// endChildren ends the custom tokens that a revoked login issued, if the switch parent_revoke_kills_custom is on.
func (svc *service) endChildren(login *session) {
	if !svc.env.Enabled(switchParentRevoke) {
		return
	}
	for _, s := range append([]*session(nil), svc.sessions...) {
		if s.parent == login.id {
			svc.end(s, endedByParent)
		}
	}
}

// endedByParent is the reason for the end of a custom token whose login was revoked.
const endedByParent = "parent_revoked"
