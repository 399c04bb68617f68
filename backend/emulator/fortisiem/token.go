package fortisiem

import (
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Values of grant_type.
const (
	grantClient  = "client_credentials"
	grantRefresh = "refresh_token"
)

// sampleExpiresIn is the expires_in of the vendor's sample answer. It contradicts the schema next to it.
const sampleExpiresIn = 3600

// endedBySuccessor is the reason for the end of a token that a new token of the same client replaced.
const endedBySuccessor = "replaced"

// exchange answers POST /phoenix/rest/pub/security/oauth/token. All its refusals are 400, except that of a body
// that is not a form if the switch not_a_form_status is 415. Only the message distinguishes them.
func (svc *service) exchange(w http.ResponseWriter, r *http.Request) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" if malformed, which is refused
	if media != "application/x-www-form-urlencoded" {
		status := svc.status(switchBodyStatus)
		svc.refuse(w, status, errorName(status), messageParameters)
		return
	}
	if err := r.ParseForm(); err != nil {
		svc.refuse400(w, messageParameters)
		return
	}
	// The API reads credentials from the body, and ignores the query.
	id, secret, grant := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), r.PostForm.Get("grant_type")
	if id == "" || secret == "" || grant == "" {
		svc.refuse400(w, messageParameters)
		return
	}
	switch refusal := svc.admit(id); refusal {
	case "":
	case messageRate:
		svc.refuseEarly(w)
		return
	default:
		svc.refuse400(w, refusal)
		return
	}
	c, refusal := svc.authenticate(id, secret)
	if refusal == "" {
		refusal = svc.granted(c, grant, r.PostForm.Get("refresh_token"))
	}
	if refusal != "" {
		svc.failed(id)
		svc.refuse400(w, refusal)
		return
	}
	svc.succeeded(id)
	svc.answerToken(w, c, grant, r.PostForm.Get("refresh_token"))
}

// authenticate returns the client. refusal is the message of the refusal, "" if the client may have a token.
func (svc *service) authenticate(id, secret string) (c *client, refusal string) {
	c = svc.clients[id]
	switch {
	case c == nil || c.secret != secret:
		return nil, messageWrongPair
	case c.revoked:
		return nil, messageRevoked
	case !c.secretExpires.IsZero() && !svc.env.Now().Before(c.secretExpires):
		return nil, messageExpired
	case c.ownerDenied:
		return nil, messageOwner
	}
	return c, ""
}

// granted checks the grant type. refusal is the message of the refusal, "" if the client gets a token.
func (svc *service) granted(c *client, grant, refresh string) (refusal string) {
	switch {
	case grant == grantRefresh && svc.env.Switch(switchRefreshGrant) == "accepted":
		if owner := svc.refresh[refresh]; owner != c {
			return messageParameters
		}
	case grant != grantClient:
		return messageParameters
	}
	if c.exchanged && svc.env.Enabled(switchSingleIssue) {
		return messageParameters
	}
	return ""
}

// answerToken issues an access token and answers with it.
func (svc *service) answerToken(w http.ResponseWriter, c *client, grant, refresh string) {
	life := c.life
	if life == 0 {
		life = svc.env.Duration(switchTokenExpiry)
	}
	if svc.env.Switch(switchSecondToken) == "replaces" {
		svc.endTokens(c, endedBySuccessor)
	}
	now := svc.env.Now()
	expires := now.Add(life).Truncate(time.Second) // the times in a JWT are whole seconds
	issued := &token{id: svc.env.Random.UUID(4), client: c}
	bearer := svc.newBearer(c, now, expires)
	c.exchanged = true
	svc.tokens[bearer] = issued
	svc.env.History.Issue(issued.id, emulator.KindLeased, "", expires)

	body := map[string]any{"access_token": bearer, "token_type": "Bearer", "expires_in": svc.expiresIn(life)}
	if svc.env.Switch(switchAnswerNames) == "spare" {
		body = map[string]any{"token": bearer, "token_type": "Bearer", "expiresIn": int64(life / time.Minute)}
	}
	if grant == grantRefresh && svc.env.Enabled(switchRefreshRotates) {
		delete(svc.refresh, refresh)
		body["refresh_token"] = svc.newRefreshToken(c)
	}
	svc.writeJSON(w, http.StatusOK, body)
}

// expiresIn returns a lifetime in the unit of the switch expires_in_unit.
func (svc *service) expiresIn(life time.Duration) int64 {
	switch svc.env.Switch(switchExpiresUnit) {
	case "minutes":
		return int64(life / time.Minute)
	case "mismatch":
		return sampleExpiresIn
	}
	return int64(life / time.Second)
}

// newRefreshToken makes a refresh token of a client.
func (svc *service) newRefreshToken(c *client) string {
	made := svc.env.Random.Hex(24)
	svc.refresh[made] = c
	return made
}

// endTokens ends all access tokens of a client.
func (svc *service) endTokens(c *client, by string) {
	for _, issued := range svc.tokens {
		if issued.client == c {
			svc.env.History.End(issued.id, by)
		}
	}
}

// status returns the value of a switch that holds an HTTP status.
func (svc *service) status(name string) int {
	status, err := strconv.Atoi(svc.env.Switch(name))
	if err != nil {
		panic("fortisiem: switch " + name + " holds no status")
	}
	return status
}
