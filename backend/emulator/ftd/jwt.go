package ftd

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// claims are the claims of the vendor's sample tokens. Times are in seconds, except where the comment says
// milliseconds.
type claims struct {
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	Subject   string `json:"sub"`
	ID        string `json:"jti"`
	Origin    string `json:"origin"`
	TokenType string `json:"tokenType"`
	// RefreshExpires is in milliseconds. An access token has it if the pair has a refresh token.
	RefreshExpires int64 `json:"refreshTokenExpiresAt,omitempty"`
	// AccessExpires is in milliseconds. Only a refresh token has it.
	AccessExpires int64 `json:"accessTokenExpiresAt,omitempty"`
	// RefreshCount is the number of remaining refreshes, -1 for no limit. Only a refresh token has it.
	RefreshCount *int `json:"refreshCount,omitempty"`
	// Serial makes two tokens of one session and one second different. The vendor's samples have no such claim,
	// but clients treat the token as opaque.
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

// signedHere reports whether the device signed the token. With it the device recognizes an ended token that it
// no longer stores.
func (svc *service) signedHere(value string) bool {
	i := strings.LastIndexByte(value, '.')
	if i < 0 {
		return false
	}
	mac, err := base64.RawURLEncoding.DecodeString(value[i+1:])
	return err == nil && hmac.Equal(mac, svc.signature(value[:i]))
}
