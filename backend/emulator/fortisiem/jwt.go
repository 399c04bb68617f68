package fortisiem

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// claims are those of the vendor's sample token. iat is not among them.
type claims struct {
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	Expires  *int64 `json:"exp,omitempty"`
	IssuedAt *int64 `json:"iat,omitempty"`
	// Serial keeps two tokens of one second apart. The vendor's sample has nothing like it.
	Serial string `json:"jti"`
}

// signatureBytes is the length of an RS256 signature by a key of 2048 bits.
const signatureBytes = 256

// newBearer makes an access token of the form that the switch asks for.
//
// A JWT has the header of RS256 and random bytes for a signature: the vendor publishes no key to check it
// with, so nobody can tell, and the twin itself looks tokens up.
func (svc *service) newBearer(now, expires time.Time) string {
	form := svc.env.Switch(switchTokenForm)
	if form == "opaque" {
		return svc.env.Random.Hex(32)
	}
	c := claims{Subject: ownerName, Scope: "api", Serial: svc.env.Random.Hex(8)}
	if form == "jwt" {
		c.Expires = new(expires.Unix())
	}
	if svc.env.Enabled(switchIssuedAt) {
		c.IssuedAt = new(now.Unix())
	}
	payload, err := json.Marshal(c)
	if err != nil {
		panic("fortisiem: claims cannot be written as JSON: " + err.Error())
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(payload) + "." + encode(svc.env.Random.Bytes(signatureBytes))
}
