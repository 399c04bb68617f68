package lacework

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Lifetimes of a token in seconds, from "API Keys and Access Tokens".
const (
	defaultExpiry = 3600
	maximumExpiry = 86400
)

// tokenRequest is the body of a token request.
type tokenRequest struct {
	keyID  string
	expiry int64
	given  bool // expiryTime is present
}

// issueToken answers POST /api/v2/access/tokens. It ignores all headers but Content-Type and the secret's, since the
// vendor's Go client sends several that have no meaning for this call.
func (svc *service) issueToken(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	request, malformed := parseTokenRequest(body, svc.env.Switch(switchUnknownMember) == "reject")
	k := svc.keys[request.keyID]
	user := ""
	if k != nil {
		user = k.user
	}
	if !svc.admit(w, r, user) {
		return
	}
	if err != nil || len(body) > maxBody {
		svc.refuse(w, http.StatusBadRequest, "Request body is too large.")
		return
	}
	if status, message := svc.refusal(r, request, k, malformed); status != 0 {
		svc.refuse(w, status, message)
		return
	}
	life, refusal := svc.lifetime(request)
	if refusal != "" {
		svc.refuse(w, http.StatusBadRequest, refusal)
		return
	}
	if limit := svc.env.Integer(switchTokensPerKey); limit > 0 && svc.liveTokens(k) >= limit {
		svc.refuse(w, http.StatusForbidden, "Too many access tokens.")
		return
	}
	// The answer has a precision of milliseconds. The token must not live longer than the answer promises.
	expires := svc.env.Now().Add(life).Truncate(time.Millisecond)
	bearer := svc.newBearer()
	issued := &token{id: svc.env.Random.UUID(4), key: k, expires: expires}
	svc.tokens[bearer] = issued
	svc.env.History.Issue(issued.id, emulator.KindLeased, "", expires)
	emulator.WriteJSON(w, svc.status(switchSuccessStatus), map[string]string{
		"expiresAt": expires.Format("2006-01-02T15:04:05.000Z"),
		"token":     bearer,
	})
}

// refusal checks a token request with its key k, which may be nil. malformed is the error in the body, "" if there
// is none. status and message are those of the refusal; status is 0 if the request is allowed.
func (svc *service) refusal(r *http.Request, request tokenRequest, k *key, malformed string) (status int, message string) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" if malformed, which is refused
	secret := r.Header.Get("X-LW-UAKS")
	switch {
	case media != "application/json" && svc.env.Enabled(switchContentType):
		return http.StatusBadRequest, "Content-Type must be application/json."
	case malformed != "":
		return http.StatusBadRequest, malformed
	case request.keyID == "" || secret == "":
		return http.StatusBadRequest, "Access Key is null."
	case k == nil || k.secret != secret:
		return svc.status(switchWrongKeyStatus), "Invalid access key."
	case k.disabled:
		return svc.status(switchDisabledKeyStatus), "Access key is disabled."
	}
	return 0, ""
}

// parseTokenRequest reads the body. Member names are case-sensitive. Unknown members are refused if strict is true. malformed
// is the message of the refusal, "" if the body is valid.
func parseTokenRequest(body []byte, strict bool) (request tokenRequest, malformed string) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return request, "Request body is not valid JSON."
	}
	if raw, ok := members["keyId"]; ok {
		if err := json.Unmarshal(raw, &request.keyID); err != nil {
			return request, "keyId must be a string."
		}
	}
	if raw, ok := members["expiryTime"]; ok && string(raw) != "null" {
		request.given = true
		if err := json.Unmarshal(raw, &request.expiry); err != nil {
			return request, "expiryTime must be an integer."
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if strict && name != "keyId" && name != "expiryTime" {
			return request, "key " + name + " is unrecognized"
		}
	}
	return request, ""
}

// lifetime returns the lifetime of a token. refusal is the message of the refusal, "" if the lifetime is allowed.
func (svc *service) lifetime(request tokenRequest) (life time.Duration, refusal string) {
	seconds := request.expiry
	switch {
	case !request.given && svc.env.Enabled(switchStrictOpenAPI):
		return 0, "expiryTime is required."
	case !request.given:
		seconds = defaultExpiry
	case seconds < 1 || seconds < int64(svc.env.Integer(switchMinimumExpiry)):
		return 0, "expiryTime is too small."
	case seconds > maximumExpiry && svc.env.Switch(switchAboveMaximum) == "reject":
		return 0, "expiryTime must not exceed 86400."
	case seconds > maximumExpiry:
		seconds = maximumExpiry
	}
	return time.Duration(seconds) * time.Second, ""
}

// newBearer makes a token string.
func (svc *service) newBearer() string {
	if svc.env.Switch(switchTokenForm) == "opaque" {
		return "_" + svc.env.Random.Hex(24)
	}
	part := base64.RawURLEncoding.EncodeToString
	claims := `{"jti":"` + svc.env.Random.UUID(4) + `"}`
	return part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part([]byte(claims)) + "." + part(svc.env.Random.Bytes(32))
}

// liveTokens counts the live tokens of a key.
func (svc *service) liveTokens(k *key) int {
	n := 0
	for _, issued := range svc.tokens {
		if issued.key.id == k.id && svc.env.History.Live(issued.id) {
			n++
		}
	}
	return n
}

// status returns the value of a switch that holds an HTTP status.
func (svc *service) status(name string) int {
	status, err := strconv.Atoi(svc.env.Switch(name))
	if err != nil {
		panic("lacework: switch " + name + " holds no status")
	}
	return status
}
