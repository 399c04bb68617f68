package fortisiem

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// resolution is the resolution of the product's times: claims and the Date header have whole seconds. A difference
// between two of them is too long by less than that.
const resolution = time.Second

// maxPlausibleLifetime is longer than the lifetime of any access token. A claim of a longer one has another unit and is
// ignored. A longer expires_in is reduced to it.
const maxPlausibleLifetime = 366 * 24 * time.Hour

// Sources of a token's lifetime, as the result of a check names them.
const (
	sourceIssuedAt  = "claims exp and iat of the token"
	sourceDate      = "claim exp of the token and the answer's Date header"
	sourceExpiresIn = "expires_in"
)

// claims are the claims of a JWT that the driver uses. A claim that is absent is zero or empty.
type claims struct {
	expires  time.Time
	issuedAt time.Time
	subject  string
}

// parseClaims returns the claims of a JWT, or no claims for any other token.
//
// The signature cannot be verified, because the product publishes no key. It is not needed: the token was received over a
// connection with a verified certificate, and the driver reads only subject and lifetime.
func parseClaims(token string) claims {
	payload := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, payload)
	// The signature algorithm does not matter, because the signature is not verified.
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) {
		return claims{}
	}
	var read claims
	if expires, err := payload.GetExpirationTime(); err == nil && expires != nil {
		read.expires = expires.Time
	}
	if issuedAt, err := payload.GetIssuedAt(); err == nil && issuedAt != nil {
		read.issuedAt = issuedAt.Time
	}
	if subject, err := payload.GetSubject(); err == nil {
		read.subject = subject
	}
	return read
}

// expiry is when a token expires on this machine's clock, never too late, and the source of that fact.
type expiry struct {
	at       time.Time
	lifetime time.Duration
	source   string
}

// expiry determines when the token expires.
//
// The token's own claim exp is the most reliable source, as the public clients show. The product's clock is not trusted,
// so expiry uses the difference between two times of that clock, and counts from before the request was sent.
//
// The documents of expires_in contradict each other: the schema says minutes, and the sample can only mean seconds. A client
// of a vendor employee measured seconds. So expires_in is the only source just for a token without exp. Then it counts
// seconds, also the shorter lifetime, unless the operator has configured the unit. The spare name expiresIn means minutes. With a
// configured unit, the earlier one of exp and expires_in counts.
func (m *issuedToken) expiry(unit string) (*expiry, error) {
	life, source := m.claimedLife()
	answered := m.answeredLife(unit)
	if answered > 0 && (source == "" || unit != unitAuto && answered < life) {
		life, source = answered, sourceExpiresIn
	}
	if source == "" {
		return nil, m.response.UnexpectedResponse("the answer does not say how long the access token lives")
	}
	// Truncated, because the product counts whole seconds.
	life = (life - resolution).Truncate(time.Second)
	if life <= 0 {
		return nil, &provider.Error{
			Class: provider.ClassAmbiguous, Op: opExchange, // the token exists
			Message: "the product answered with an access token that ends at once",
			Remedy:  "check the client's Access Token Expiry in the FortiSIEM GUI, and expires_in_unit",
		}
	}
	return &expiry{at: m.sentAt.Add(life), lifetime: life, source: source}, nil
}

// claimedLife returns the lifetime by the token's claims. The source is empty if the claims do not contain it.
func (m *issuedToken) claimedLife() (life time.Duration, source string) {
	switch {
	case m.claims.expires.IsZero():
		return 0, ""
	case !m.claims.issuedAt.IsZero():
		life, source = m.claims.expires.Sub(m.claims.issuedAt), sourceIssuedAt
	case !m.response.ServerTime.IsZero():
		life, source = m.claims.expires.Sub(m.response.ServerTime), sourceDate
	default:
		return 0, ""
	}
	if life > maxPlausibleLifetime {
		return 0, ""
	}
	// time.Time.Sub returns the shortest Duration for a difference that is too large. Subtracting from it would
	// overflow.
	return max(life, 0), source
}

// answeredLife returns the lifetime by expires_in, or zero if the answer does not contain it.
func (m *issuedToken) answeredLife(unit string) time.Duration {
	scale := time.Second
	if unit == unitMinutes || m.minutes {
		scale = time.Minute
	}
	// Limited before the conversion: the number may be too large for a time.Duration.
	return time.Duration(min(m.expiresIn*float64(scale), float64(maxPlausibleLifetime)))
}
