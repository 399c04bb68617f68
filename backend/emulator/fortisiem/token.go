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

// sampleExpiresIn is the expires_in of the vendor's sample answer, which contradicts the schema beside it.
const sampleExpiresIn = 3600

// endedBySuccessor is why a token ends when its client gets another, if the switch wants it so.
const endedBySuccessor = "replaced"

// exchange answers POST /phoenix/rest/pub/security/oauth/token. All its refusals but one are 400, and the
// client has to tell them apart by their text.
func (t *service) exchange(w http.ResponseWriter, r *http.Request) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" when malformed, and refused as such
	if media != "application/x-www-form-urlencoded" {
		status := t.status(switchBodyStatus)
		t.refuse(w, status, errorName(status), messageParameters)
		return
	}
	if err := r.ParseForm(); err != nil {
		t.refuse400(w, messageParameters)
		return
	}
	// Credentials go into the body; what the query says is nothing to this API.
	id, secret, grant := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), r.PostForm.Get("grant_type")
	if id == "" || secret == "" || grant == "" {
		t.refuse400(w, messageParameters)
		return
	}
	if refusal := t.admit(id); refusal != "" {
		t.refuse400(w, refusal)
		return
	}
	c, refusal := t.authenticate(id, secret)
	if refusal == "" {
		refusal = t.granted(c, grant, r.PostForm.Get("refresh_token"))
	}
	if refusal != "" {
		t.failed(id)
		t.refuse400(w, refusal)
		return
	}
	t.succeeded(id)
	t.answerToken(w, c, grant, r.PostForm.Get("refresh_token"))
}

// authenticate finds the client. refusal is what to tell it, "" when it may have a token.
func (t *service) authenticate(id, secret string) (c *client, refusal string) {
	c = t.clients[id]
	switch {
	case c == nil || c.secret != secret:
		return nil, messageWrongPair
	case c.revoked:
		return nil, messageRevoked
	case !c.secretExpires.IsZero() && !t.env.Now().Before(c.secretExpires):
		return nil, messageExpired
	case c.ownerDenied:
		return nil, messageOwner
	}
	return c, ""
}

// granted decides on the grant type. refusal is what to tell the client, "" when it gets its token.
func (t *service) granted(c *client, grant, refresh string) (refusal string) {
	switch {
	case grant == grantRefresh && t.env.Switch(switchRefreshGrant) == "accepted":
		if owner := t.refresh[refresh]; owner != c {
			return messageParameters
		}
	case grant != grantClient:
		return messageParameters
	}
	if c.exchanged && t.env.Enabled(switchSingleIssue) {
		return messageParameters
	}
	return ""
}

// answerToken makes an access token and writes the answer.
func (t *service) answerToken(w http.ResponseWriter, c *client, grant, refresh string) {
	life := c.life
	if life == 0 {
		life = t.env.Duration(switchTokenExpiry)
	}
	if t.env.Switch(switchSecondToken) == "replaces" {
		t.endTokens(c, endedBySuccessor)
	}
	now := t.env.Now()
	expires := now.Add(life).Truncate(time.Second) // a JWT counts whole seconds
	issued := &token{id: t.env.Random.UUID(4), client: c}
	bearer := t.newBearer(now, expires)
	c.exchanged = true
	t.tokens[bearer] = issued
	t.env.History.Issue(issued.id, emulator.KindLeased, "", expires)

	body := map[string]any{"access_token": bearer, "token_type": "Bearer", "expires_in": t.expiresIn(life)}
	if grant == grantRefresh && t.env.Enabled(switchRefreshRotates) {
		delete(t.refresh, refresh)
		body["refresh_token"] = t.newRefreshToken(c)
	}
	t.writeJSON(w, http.StatusOK, body)
}

// expiresIn is a lifetime in the unit that the switch asks for.
func (t *service) expiresIn(life time.Duration) int64 {
	switch t.env.Switch(switchExpiresUnit) {
	case "seconds":
		return int64(life / time.Second)
	case "mismatch":
		return sampleExpiresIn
	}
	return int64(life / time.Minute)
}

// newRefreshToken makes a refresh token of the client's.
func (t *service) newRefreshToken(c *client) string {
	made := t.env.Random.Hex(24)
	t.refresh[made] = c
	return made
}

// endTokens ends all access tokens of a client.
func (t *service) endTokens(c *client, by string) {
	for _, issued := range t.tokens {
		if issued.client == c {
			t.env.History.End(issued.id, by)
		}
	}
}

// status reads a switch that holds an HTTP status.
func (t *service) status(name string) int {
	status, err := strconv.Atoi(t.env.Switch(name))
	if err != nil {
		panic("fortisiem: switch " + name + " holds no status")
	}
	return status
}
