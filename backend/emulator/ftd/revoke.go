package ftd

import (
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// revoke answers the revoke_token grant, which names one, and only one, of three things to be revoked.
func (t *service) revoke(w http.ResponseWriter, request tokenRequest) {
	if _, refusal := t.manager(request.AccessToken); refusal != "" {
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
		gone = t.revokeToken(*request.TokenToRevoke)
	case request.SubjectToRevoke != nil && *request.SubjectToRevoke != "":
		gone, onUnknown = t.revokeSubject(*request.SubjectToRevoke), switchRevokeUnknownSubj
	default:
		gone = t.revokeID(*request.IDToRevoke)
	}
	if !gone && t.env.Switch(onUnknown) == "bad_request" {
		writeStatus(w, http.StatusBadRequest, "The token to revoke is invalid or expired")
		return
	}
	writeStatus(w, http.StatusOK, "OK")
}

// revokeToken revokes by an access or refresh token. It reports false when the token does not work anyway.
func (t *service) revokeToken(value string) bool {
	k := t.tokens[value]
	if !t.valid(k) {
		return false
	}
	if t.env.Switch(switchRevokeToken) == "pair" {
		return t.revokeSession(k.session)
	}
	k.revoked = true
	t.settle(k.session)
	if !t.env.History.Live(k.session.id) {
		t.orphan(k.session)
	}
	return true
}

// revokeSubject revokes custom tokens by their desired_subject. It reports false when there are none.
func (t *service) revokeSubject(subject string) bool {
	found := t.withSubject(subject)
	for i, s := range found {
		if i == 0 || t.env.Switch(switchRevokeSubject) == "all" {
			t.revokeSession(s)
		}
	}
	return len(found) > 0
}

// revokeID revokes a custom token by its jti. It reports false when there is none.
func (t *service) revokeID(id string) bool {
	t.prune()
	for _, s := range t.sessions {
		if s.id == id && s.origin == originCustom {
			return t.revokeSession(s)
		}
	}
	return false
}

// withSubject returns the live custom tokens of a subject, the oldest first.
func (t *service) withSubject(subject string) []*session {
	t.prune()
	var found []*session
	for _, s := range t.sessions {
		if s.origin == originCustom && s.subject == subject {
			found = append(found, s)
		}
	}
	return found
}

// revokeSession ends a session and, if the switch wants it so, the custom tokens made with it.
func (t *service) revokeSession(s *session) bool {
	ended := t.end(s, emulator.EndedRevoked)
	t.orphan(s)
	return ended
}

// orphan ends the custom tokens of a revoked login if the switch wants it so.
func (t *service) orphan(login *session) {
	if !t.env.Enabled(switchParentRevoke) {
		return
	}
	for _, s := range append([]*session(nil), t.sessions...) {
		if s.parent == login.id {
			t.end(s, endedByParent)
		}
	}
}

// endedByParent is why custom tokens end that go with their login.
const endedByParent = "parent_revoked"
