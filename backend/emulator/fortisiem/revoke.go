package fortisiem

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// revoke answers a call that ends an access token. It is NOT an API of the vendor's, see the package's
// documentation. It takes POST, PUT, PATCH and DELETE, and the token as a member of a form or of a JSON object,
// or else as the bearer of the request.
func (svc *service) revoke(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		svc.refuse(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "Method not allowed")
		return
	}
	bearer, ok := tokenToRevoke(r)
	if !ok {
		svc.refuse400(w, messageParameters)
		return
	}
	if issued := svc.live(bearer); issued != nil {
		svc.env.History.End(issued.id, emulator.EndedRevoked)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	switch status := svc.status(switchRevokeUnknown); status {
	case http.StatusOK:
		svc.writeJSON(w, status, map[string]string{})
	case http.StatusUnauthorized:
		svc.unauthorized(w)
	default:
		svc.refuse(w, status, errorName(status), "Token not found")
	}
}

// tokenToRevoke reads which token is meant. It reports false when none is named.
func tokenToRevoke(r *http.Request) (bearer string, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", false
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" when there is no body to describe
	switch media {
	case "application/json":
		var members struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal(body, &members); err != nil {
			return "", false
		}
		bearer = members.Token
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return "", false
		}
		bearer = form.Get("token")
	default:
		scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") {
			bearer = value
		}
	}
	return bearer, bearer != ""
}
