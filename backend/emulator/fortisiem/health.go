package fortisiem

import (
	"net/http"
	"strings"
)

// health answers GET /phoenix/rest/system/health/summary, the cheap read that proves a token.
func (t *service) health(w http.ResponseWriter, r *http.Request) {
	if !t.authorized(r) {
		t.unauthorized(w)
		return
	}
	t.writeJSON(w, http.StatusOK, []any{map[string]any{
		"id":           1,
		"name":         "fortisiem",
		"healthStatus": "Normal",
		"nodes":        []any{map[string]any{"name": "supervisor", "healthStatus": "Normal"}},
	}})
}

// authorized tells whether a request carries a live access token, or the owner's name and password. The
// name without its organisation is not enough.
func (t *service) authorized(r *http.Request) bool {
	if name, password, ok := r.BasicAuth(); ok {
		return name == ownerName && password == t.password
	}
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && t.live(bearer) != nil
}

// live finds an access token that works, or nil.
func (t *service) live(bearer string) *token {
	issued := t.tokens[bearer]
	if issued == nil || !t.env.History.Live(issued.id) {
		return nil
	}
	return issued
}

// unauthorized answers 401, whose body is not documented beyond its words.
func (t *service) unauthorized(w http.ResponseWriter) {
	switch t.env.Switch(switchUnauthorizedBody) {
	case "plain":
		http.Error(w, messageUnauthorized, http.StatusUnauthorized)
	case "empty":
		w.WriteHeader(http.StatusUnauthorized)
	default:
		t.refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", messageUnauthorized)
	}
}
