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

// revoke answers a call that ends an access token. It is NOT an API of the vendor, see the package documentation.
// It accepts POST, PUT, PATCH and DELETE. The token is a member of a form or of a JSON object, or else the bearer
// token of the request.
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

// tokenToRevoke returns the token that the request names. It reports false if the request names none.
func tokenToRevoke(r *http.Request) (bearer string, ok bool) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", false
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" if there is no body
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
