package lacework

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// bearer returns the token in a request's Authorization header, live or ended, or nil. The header may have no
// scheme: the vendor's Go client sends the token alone.
func (svc *service) bearer(r *http.Request) *token {
	value := r.Header.Get("Authorization")
	if scheme, rest, found := strings.Cut(value, " "); found && strings.EqualFold(scheme, "Bearer") {
		value = rest
	}
	return svc.tokens[value]
}

// bearerUser returns the user whose rate limit a request counts against, "" if its token is unknown.
func (svc *service) bearerUser(r *http.Request) string {
	if issued := svc.bearer(r); issued != nil {
		return issued.key.user
	}
	return ""
}

// profile answers GET /api/v2/UserProfile, a cheap read with which a client can verify a token.
func (svc *service) profile(w http.ResponseWriter, r *http.Request) {
	if !svc.admit(w, r, svc.bearerUser(r)) {
		return
	}
	issued := svc.bearer(r)
	if issued == nil || !svc.env.History.Live(issued.id) {
		svc.refuse(w, svc.status(switchBadTokenStatus), "Unauthorized")
		return
	}
	organisation := strings.EqualFold(r.Header.Get("Org-Access"), "true")
	name := account
	if sub := r.Header.Get("Account-Name"); sub != "" && !organisation { // Org-Access has priority
		name = sub
	}
	if issued.key.service && (organisation || name != account) {
		svc.refuse(w, svc.status(switchServiceUserStatus), "User not authorized")
		return
	}
	if svc.env.Switch(switchUserProfile) == "no_content" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	emulator.WriteJSON(w, http.StatusOK, map[string]any{"data": []any{map[string]any{
		"username":   issued.key.user,
		"orgAccount": svc.orgAccount(organisation),
		"url":        r.Host,
		"orgAdmin":   !issued.key.service,
		"orgUser":    false,
		"accounts": []any{map[string]any{
			"admin":       true,
			"accountName": strings.ToUpper(name),
			"custGuid":    strings.ToUpper(name + "_0000000000000000000000000000000000000000"),
			"userGuid":    strings.ToUpper(name + "_0000000000000000000000000000000000000001"),
			"userEnabled": 1,
		}},
	}}})
}

// orgAccount returns the member orgAccount for a request with or without Org-Access.
func (svc *service) orgAccount(organisation bool) bool {
	if svc.env.Switch(switchOrgAccount) == "header" {
		return organisation
	}
	return svc.env.Enabled(switchOrgAccount)
}

// refuse answers an error in the shape of the switch error_shape.
func (svc *service) refuse(w http.ResponseWriter, status int, message string) {
	switch svc.env.Switch(switchErrorShape) {
	case "legacy":
		emulator.WriteJSON(w, status, map[string]any{
			"ok": false, "message": "FAILED", "data": map[string]string{"message": message},
		})
	case "plain":
		http.Error(w, message, status)
	default:
		emulator.WriteJSON(w, status, map[string]string{"message": message})
	}
}

// errorBody is the body of an injected error in the vendor's form.
func errorBody(status int) (contentType string, body []byte) {
	body, err := json.Marshal(map[string]string{"message": http.StatusText(status)})
	if err != nil {
		panic("lacework: error body: " + err.Error())
	}
	return "application/json", body
}
