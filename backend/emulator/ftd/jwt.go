package ftd

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// claims are those of the vendor's sample tokens, in seconds unless said otherwise.
type claims struct {
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Subject   string `json:"sub"`
	ID        string `json:"jti"`
	Origin    string `json:"origin"`
	TokenType string `json:"tokenType"`
	// RefreshExpires is in milliseconds, in an access token that has a refresh token beside it.
	RefreshExpires int64 `json:"refreshTokenExpiresAt,omitempty"`
	// AccessExpires is in milliseconds, in a refresh token.
	AccessExpires int64 `json:"accessTokenExpiresAt,omitempty"`
	// RefreshCount is in a refresh token: how many refreshes are left, -1 without limit.
	RefreshCount *int `json:"refreshCount,omitempty"`
	// Serial keeps two tokens of one session and one second apart. The vendor's samples have nothing like it,
	// but a client takes the token as opaque.
	Serial string `json:"serial"`
}

// sign makes a JWT of the claims.
func (svc *service) sign(c claims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		panic("ftd: claims cannot be written as JSON: " + err.Error())
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256"}`)) + "." + encode(payload)
	return signed + "." + encode(svc.signature(signed))
}

// signature is the MAC of a JWT's first two parts.
func (svc *service) signature(signed string) []byte {
	mac := hmac.New(sha256.New, svc.signingKey)
	mac.Write([]byte(signed))
	return mac.Sum(nil)
}

// ours tells whether the device once signed the token. So an ended one is told from garbage without keeping it.
func (svc *service) ours(value string) bool {
	i := strings.LastIndexByte(value, '.')
	if i < 0 {
		return false
	}
	mac, err := base64.RawURLEncoding.DecodeString(value[i+1:])
	return err == nil && hmac.Equal(mac, svc.signature(value[:i]))
}
