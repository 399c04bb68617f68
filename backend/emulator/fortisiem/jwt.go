package fortisiem

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// claims are the claims of the vendor's sample token, and iat, which the sample does not have.
type claims struct {
	Subject  string `json:"sub"`
	Scope    string `json:"scope"`
	Expires  *int64 `json:"exp,omitempty"`
	IssuedAt *int64 `json:"iat,omitempty"`
	// Serial makes two tokens of one second different. The vendor's sample has no such claim.
	Serial string `json:"jti"`
}

// signatureBytes is the length of an RS256 signature by a key of 2048 bits.
const signatureBytes = 256

// newBearer makes an access token of a client in the form of the switch token_form.
//
// A JWT has the header of RS256 and random bytes as its signature. Clients cannot check the signature, since the
// vendor publishes no key. The emulation finds a token by its value.
func (svc *service) newBearer(owner *client, now, expires time.Time) string {
	form := svc.env.Switch(switchTokenForm)
	if form == "opaque" {
		return svc.env.Random.Hex(32)
	}
	c := claims{Subject: owner.id, Scope: "read write", Serial: svc.env.Random.Hex(8)}
	if svc.env.Switch(switchSubject) == "owner" {
		c.Subject = ownerName
	}
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
