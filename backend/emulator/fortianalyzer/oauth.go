package fortianalyzer

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Values of grant_type.
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
)

// endedBySuccessor is the reason for the end of an access token that a new one replaced.
const endedBySuccessor = "superseded"

// The characters and the length of the vendor's sample tokens.
const (
	tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	tokenLength   = 30
)

// oauthRequest is the body of a request to the OAuth server, with the members of all calls.
type oauthRequest struct {
	ClientID     string `json:"client_id"`
	GrantType    string `json:"grant_type"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	RefreshToken string `json:"refresh_token"`
	Token        string `json:"token"`
}

// readOAuth reads a JSON body, or in a token request a form if the switch oauth_form_body accepts it. If it cannot read
// the body, it answers with an error and reports false.
func (svc *service) readOAuth(w http.ResponseWriter, r *http.Request) (request oauthRequest, ok bool) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" if malformed, which is refused
	form := svc.env.Switch(switchFormBody)
	labelled := media == "application/x-www-form-urlencoded" && form == "accept" && r.URL.Path == tokenPath
	if media != "application/json" && !labelled {
		status := http.StatusUnsupportedMediaType
		if form == "400" {
			status = http.StatusBadRequest
		}
		svc.refuseOAuth(w, status, "invalid_request", "unsupported media type")
		return request, false
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil && labelled {
		request, err = parseForm(body)
	}
	if err != nil {
		svc.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "Request is not valid JSON")
		return request, false
	}
	return request, true
}

// parseForm reads the members of a form.
func parseForm(body []byte) (oauthRequest, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return oauthRequest{}, fmt.Errorf("malformed form: %w", err)
	}
	return oauthRequest{
		ClientID: form.Get("client_id"), GrantType: form.Get("grant_type"),
		Username: form.Get("username"), Password: form.Get("password"), RefreshToken: form.Get("refresh_token"),
	}, nil
}

// client returns the application of a client_id, or "".
func (svc *service) client(id string) string {
	for _, known := range []string{clientAnalyzer, clientManager} {
		if id == known || strings.EqualFold(id, known) && svc.env.Switch(switchClientCase) == "ignored" {
			return known
		}
	}
	return ""
}

// grant answers POST /api/v1/oauth/token/.
func (svc *service) grant(w http.ResponseWriter, r *http.Request) {
	request, ok := svc.readOAuth(w, r)
	if !ok {
		return
	}
	client := svc.client(request.ClientID)
	switch {
	case request.ClientID == "":
		svc.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "client_id is missing")
	case client == "":
		svc.refuseOAuth(w, http.StatusUnauthorized, "invalid_client", "client_id is invalid")
	case request.GrantType == grantPassword:
		svc.grantPassword(w, request, client)
	case request.GrantType == grantRefresh:
		svc.grantRefresh(w, request, client)
	default:
		svc.refuseOAuth(w, http.StatusBadRequest, "unsupported_grant_type", "unsupported grant_type")
	}
}

// grantPassword answers the password grant: an API user's id and password.
func (svc *service) grantPassword(w http.ResponseWriter, request oauthRequest, client string) {
	if request.Username == "" || request.Password == "" {
		svc.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "username or password is missing")
		return
	}
	u := svc.users[request.Username]
	if svc.limited(w, u) {
		return
	}
	valid := u != nil && u.password == request.Password && !u.disabled
	if svc.lockedOut(u, grantPassword, valid) || !valid {
		svc.refuseOAuth(w, svc.status(switchBadCredentials), "invalid_grant", "invalid credentials given")
		return
	}
	access, issued := svc.issue(u, client)
	svc.writeToken(w, access, svc.newRefresh(issued))
}

// grantRefresh answers the refresh_token grant. The access token of the refresh token may have expired.
func (svc *service) grantRefresh(w http.ResponseWriter, request oauthRequest, client string) {
	held := svc.refreshes[request.RefreshToken]
	if held != nil && svc.limited(w, held.user) {
		return
	}
	valid := held != nil && held.client == client && !held.user.disabled && !svc.refreshExpired(held)
	if held != nil && svc.lockedOut(held.user, grantRefresh, valid) || !valid {
		svc.refuseOAuth(w, svc.status(switchBadCredentials), "invalid_grant", "invalid refresh token")
		return
	}
	access, issued := svc.issue(held.user, client)
	switch svc.env.Switch(switchRefreshToken) {
	case "rotate":
		delete(svc.refreshes, request.RefreshToken)
		svc.writeToken(w, access, svc.newRefresh(issued))
	case "keep":
		held.access = issued
		svc.writeToken(w, access, request.RefreshToken)
	default:
		held.access = issued
		svc.writeToken(w, access, "")
	}
}

// refreshExpired reports whether a refresh token has expired.
func (svc *service) refreshExpired(held *refresh) bool {
	return !held.expires.IsZero() && !svc.env.Now().Before(held.expires)
}

// issue issues an access token. By the vendor's rule it ends the access token that the user has for the same
// application.
func (svc *service) issue(u *user, client string) (value string, issued *token) {
	if svc.env.Enabled(switchSingleToken) {
		for _, other := range svc.tokens {
			if other.user == u && other.client == client {
				svc.env.History.End(other.id, endedBySuccessor)
			}
		}
	}
	value = svc.env.Random.String(tokenAlphabet, tokenLength)
	issued = &token{id: svc.env.Random.UUID(4), user: u, client: client}
	svc.tokens[value] = issued
	svc.env.History.Issue(issued.id, emulator.KindLogin, "", svc.env.Now().Add(svc.tokenLife()))
	return value, issued
}

// tokenLife returns the lifetime of an access token.
func (svc *service) tokenLife() time.Duration {
	return time.Duration(svc.env.Integer(switchExpiresIn)) * time.Second
}

// newRefresh makes the refresh token of an access token.
func (svc *service) newRefresh(issued *token) string {
	value := svc.env.Random.String(tokenAlphabet, tokenLength)
	held := &refresh{user: issued.user, client: issued.client, access: issued}
	if life := svc.env.Duration(switchRefreshLife); life > 0 {
		held.expires = svc.env.Now().Add(life)
	}
	svc.refreshes[value] = held
	return value
}

// writeToken answers with the seven members of the vendor's samples, or six without a refresh token.
func (svc *service) writeToken(w http.ResponseWriter, access, refreshToken string) {
	body := map[string]any{
		"access_token": access,
		"expires_in":   svc.env.Integer(switchExpiresIn),
		"message":      "successfully authenticated",
		"scope":        "read write",
		"status":       "success",
		"token_type":   "Bearer",
	}
	if refreshToken != "" {
		body["refresh_token"] = refreshToken
	}
	emulator.WriteJSON(w, http.StatusOK, body)
}

// revoke answers POST /api/v1/oauth/revoke_token/. It also succeeds if the token is unknown or has ended.
func (svc *service) revoke(w http.ResponseWriter, r *http.Request) {
	request, ok := svc.readOAuth(w, r)
	switch client := svc.client(request.ClientID); {
	case !ok:
	case client == "":
		svc.refuseOAuth(w, http.StatusUnauthorized, "invalid_client", "client_id is invalid")
	case request.Token == "":
		svc.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "token is missing")
	default:
		if issued := svc.tokens[request.Token]; issued != nil && issued.client == client {
			svc.env.History.End(issued.id, emulator.EndedRevoked)
			svc.dropRefresh(issued)
		}
		emulator.WriteJSON(w, http.StatusOK, map[string]string{"status": "success", "message": "token revoked"})
	}
}

// dropRefresh ends the refresh token of a revoked access token, if the switch revoke_ends_refresh_token is on.
func (svc *service) dropRefresh(issued *token) {
	if !svc.env.Enabled(switchRevokeRefresh) {
		return
	}
	for value, held := range svc.refreshes {
		if held.access == issued {
			delete(svc.refreshes, value)
		}
	}
}

// verify answers GET /api/v1/oauth/verify_token/. The call is documented for FortiAuthenticator.
func (svc *service) verify(w http.ResponseWriter, r *http.Request) {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	issued := svc.tokens[value]
	if issued == nil || issued.client != svc.client(r.URL.Query().Get("client_id")) || !svc.env.History.Live(issued.id) {
		svc.refuseOAuth(w, http.StatusUnauthorized, "invalid_token", "token is invalid or expired")
		return
	}
	emulator.WriteJSON(w, http.StatusOK, map[string]string{
		"status": "success", "message": "token is valid", "username": issued.user.id,
	})
}
