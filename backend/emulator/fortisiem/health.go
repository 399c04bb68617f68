package fortisiem

import (
	"net/http"
	"strings"
)

// health answers GET /phoenix/rest/system/health/summary, the cheap read that proves a token.
func (svc *service) health(w http.ResponseWriter, r *http.Request) {
	if !svc.authorized(r) {
		svc.unauthorized(w)
		return
	}
	svc.writeJSON(w, http.StatusOK, []any{map[string]any{
		"id":           1,
		"name":         "fortisiem",
		"healthStatus": "Normal",
		"nodes":        []any{map[string]any{"name": "supervisor", "healthStatus": "Normal"}},
	}})
}

// authorized tells whether a request carries a live access token, or the owner's name and password. The
// name without its organisation is not enough.
func (svc *service) authorized(r *http.Request) bool {
	if name, password, ok := r.BasicAuth(); ok {
		return name == ownerName && password == svc.password
	}
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && svc.live(bearer) != nil
}

// live finds an access token that works, or nil.
func (svc *service) live(bearer string) *token {
	issued := svc.tokens[bearer]
	if issued == nil || !svc.env.History.Live(issued.id) {
		return nil
	}
	return issued
}

// unauthorized answers 401, whose body is not documented beyond its words.
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
