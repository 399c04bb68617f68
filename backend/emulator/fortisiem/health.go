package fortisiem

import (
	"net/http"
	"strings"
)

// health answers GET /phoenix/rest/system/health/summary, a cheap read with which a client can verify a token.
func (svc *service) health(w http.ResponseWriter, r *http.Request) {
	if !svc.authorized(r) {
		svc.unauthorized(w)
		return
	}
	svc.writeJSON(w, http.StatusOK, []any{map[string]any{
		"id":           1,
		"name":         "fortisiem",
		"healthStatus": "Normal",
		"nodes":        []any{map[string]any{"name": "supervisor", "nodesType": "Super", "status": "Normal", "reason": ""}},
	}})
}

// authorized reports whether a request has a live access token, or the owner's name and password. The name must
// include the organisation.
func (svc *service) authorized(r *http.Request) bool {
	if name, password, ok := r.BasicAuth(); ok {
		return name == ownerName && password == svc.password
	}
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && svc.live(bearer) != nil
}

// live returns a live access token, or nil.
func (svc *service) live(bearer string) *token {
	issued := svc.tokens[bearer]
	if issued == nil || !svc.env.History.Live(issued.id) {
		return nil
	}
	return issued
}

// unauthorized answers 401. Only the text of its body is documented, not the form.
func (svc *service) unauthorized(w http.ResponseWriter) {
	switch svc.env.Switch(switchUnauthorizedBody) {
	case "plain":
		http.Error(w, messageUnauthorized, http.StatusUnauthorized)
	case "empty":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		svc.refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", messageUnauthorized)
	}
}
