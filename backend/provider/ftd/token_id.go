package ftd

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"
)

// defaultSessionID is a documented id of DELETE /action/activeusersessions/{id}. It may end sessions of other users, so the
// driver never sends it.
const defaultSessionID = "default"

// tokenID returns the claim jti of a token. In the device's list of sessions it is the id of the token's session
// (inferred: the vendor's reference calls that id the token's id). It returns "" for a token that is no JWT, and for an id
// that cannot be one segment of a path.
//
// The signature is not verified, since the device publishes no key. It is not needed: the device issued the token over a
// connection with a verified certificate, and an id is used only if the device lists it.
func tokenID(token string) string {
	var claims jwt.RegisteredClaims
	_, _, err := jwt.NewParser().ParseUnverified(token, &claims)
	// The signature algorithm does not matter, because the signature is not verified.
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) {
		return ""
	}
	switch claims.ID {
	case ".", "..", defaultSessionID:
		return ""
	}
	return claims.ID
}
