package fortianalyzer

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Values of grant_type.
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
)

// endedBySuccessor is why access tokens end when another one is asked for.
const endedBySuccessor = "superseded"

// tokenAlphabet and tokenLength are those of the vendor's sample tokens.
const (
	tokenAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	tokenLength   = 30
)

// oauthRequest is the body of a request to the OAuth server, all calls together.
type oauthRequest struct {
	ClientID     string `json:"client_id"`
	GrantType    string `json:"grant_type"`
	Username     string `json:"username"`
	Password     string `json:"password"`
	RefreshToken string `json:"refresh_token"`
	Token        string `json:"token"`
}

// readOAuth reads a JSON body, and a form if the switch wants it so. It answers itself, and reports false,
// when the body is not to be had.
func (t *service) readOAuth(w http.ResponseWriter, r *http.Request) (request oauthRequest, ok bool) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" when malformed, and refused as such
	form := t.env.Switch(switchFormBody)
	switch {
	case media == "application/x-www-form-urlencoded" && form == "accept":
		if r.ParseForm() != nil {
			t.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "malformed form")
			return request, false
		}
		return oauthRequest{
			ClientID: r.PostForm.Get("client_id"), GrantType: r.PostForm.Get("grant_type"),
			Username: r.PostForm.Get("username"), Password: r.PostForm.Get("password"),
			RefreshToken: r.PostForm.Get("refresh_token"), Token: r.PostForm.Get("token"),
		}, true
	case media != "application/json":
		status := http.StatusUnsupportedMediaType
		if form == "400" {
			status = http.StatusBadRequest
		}
		t.refuseOAuth(w, status, "invalid_request", "unsupported media type")
		return request, false
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		t.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "malformed JSON")
		return request, false
	}
	return request, true
}

// client returns the application that a client_id names, or "".
func (t *service) client(id string) string {
	for _, known := range []string{clientAnalyzer, clientManager} {
		if id == known || strings.EqualFold(id, known) && t.env.Switch(switchClientCase) == "ignored" {
			return known
		}
	}
	return ""
}

// grant answers POST /api/v1/oauth/token/.
func (t *service) grant(w http.ResponseWriter, r *http.Request) {
	request, ok := t.readOAuth(w, r)
	if !ok {
		return
	}
	client := t.client(request.ClientID)
	switch {
	case request.ClientID == "":
		t.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "client_id is missing")
	case client == "":
		t.refuseOAuth(w, http.StatusUnauthorized, "invalid_client", "client_id is invalid")
	case request.GrantType == grantPassword:
		t.grantPassword(w, request, client)
	case request.GrantType == grantRefresh:
		t.grantRefresh(w, request, client)
	default:
		t.refuseOAuth(w, http.StatusBadRequest, "unsupported_grant_type", "unsupported grant_type")
	}
}

// grantPassword answers an API user's id and password.
func (t *service) grantPassword(w http.ResponseWriter, request oauthRequest, client string) {
	if request.Username == "" || request.Password == "" {
		t.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "username or password is missing")
		return
	}
	u := t.users[request.Username]
	if u == nil || u.password != request.Password || u.disabled {
		t.refuseOAuth(w, t.status(switchBadCredentials), "invalid_grant", "invalid credentials given")
		return
	}
	access, issued := t.issue(u, client)
	t.writeToken(w, access, t.newRefresh(issued))
}

// grantRefresh answers a refresh token, whether or not its access token has expired.
func (t *service) grantRefresh(w http.ResponseWriter, request oauthRequest, client string) {
	held := t.refreshes[request.RefreshToken]
	if held == nil || held.client != client || held.user.disabled || t.refreshExpired(held) {
		t.refuseOAuth(w, t.status(switchBadCredentials), "invalid_grant", "invalid refresh token")
		return
	}
	access, issued := t.issue(held.user, client)
	switch t.env.Switch(switchRefreshToken) {
	case "rotate":
		delete(t.refreshes, request.RefreshToken)
		t.writeToken(w, access, t.newRefresh(issued))
	case "keep":
		held.access = issued
		t.writeToken(w, access, request.RefreshToken)
	default:
		held.access = issued
		t.writeToken(w, access, "")
	}
}

// refreshExpired tells whether a refresh token has outlived itself.
func (t *service) refreshExpired(held *refresh) bool {
	return !held.expires.IsZero() && !t.env.Now().Before(held.expires)
}

// issue makes an access token and, by the vendor's rule, ends the one that the user had for the application.
func (t *service) issue(u *user, client string) (value string, issued *token) {
	if t.env.Enabled(switchSingleToken) {
		for _, other := range t.tokens {
			if other.user == u && other.client == client {
				t.env.History.End(other.id, endedBySuccessor)
			}
		}
	}
	value = t.env.Random.String(tokenAlphabet, tokenLength)
	issued = &token{id: t.env.Random.UUID(4), user: u, client: client}
	t.tokens[value] = issued
	t.env.History.Issue(issued.id, emulator.KindLogin, "", t.env.Now().Add(t.tokenLife()))
	return value, issued
}

// tokenLife is how long an access token lives.
func (t *service) tokenLife() time.Duration {
	return time.Duration(t.env.Integer(switchExpiresIn)) * time.Second
}

// newRefresh makes the refresh token that goes with an access token.
func (t *service) newRefresh(issued *token) string {
	value := t.env.Random.String(tokenAlphabet, tokenLength)
	held := &refresh{user: issued.user, client: issued.client, access: issued}
	if life := t.env.Duration(switchRefreshLife); life > 0 {
		held.expires = t.env.Now().Add(life)
	}
	t.refreshes[value] = held
	return value
}

// writeToken answers with the seven members of the vendor's samples, or six without a refresh token.
func (t *service) writeToken(w http.ResponseWriter, access, refreshToken string) {
	body := map[string]any{
		"access_token": access,
		"expires_in":   t.env.Integer(switchExpiresIn),
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

// revoke answers POST /api/v1/oauth/revoke_token/. A token that is unknown or dead is a success too.
func (t *service) revoke(w http.ResponseWriter, r *http.Request) {
	request, ok := t.readOAuth(w, r)
	switch client := t.client(request.ClientID); {
	case !ok:
	case client == "":
		t.refuseOAuth(w, http.StatusUnauthorized, "invalid_client", "client_id is invalid")
	case request.Token == "":
		t.refuseOAuth(w, http.StatusBadRequest, "invalid_request", "token is missing")
	default:
		if issued := t.tokens[request.Token]; issued != nil && issued.client == client {
			t.env.History.End(issued.id, emulator.EndedRevoked)
			t.dropRefresh(issued)
		}
		emulator.WriteJSON(w, http.StatusOK, map[string]string{"status": "success", "message": "token revoked"})
	}
}

// dropRefresh ends the refresh token of a revoked access token if the switch wants it so.
func (t *service) dropRefresh(issued *token) {
	if !t.env.Enabled(switchRevokeRefresh) {
		return
	}
	for value, held := range t.refreshes {
		if held.access == issued {
			delete(t.refreshes, value)
		}
	}
}

// verify answers GET /api/v1/oauth/verify_token/, which is documented for FortiAuthenticator.
func (t *service) verify(w http.ResponseWriter, r *http.Request) {
	value, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	issued := t.tokens[value]
	if issued == nil || issued.client != t.client(r.URL.Query().Get("client_id")) || !t.env.History.Live(issued.id) {
		t.refuseOAuth(w, http.StatusUnauthorized, "invalid_token", "token is invalid or expired")
		return
	}
	emulator.WriteJSON(w, http.StatusOK, map[string]string{
		"status": "success", "message": "token is valid", "username": issued.user.id,
	})
}
