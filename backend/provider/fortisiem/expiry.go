package fortisiem

import (
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// grain is how finely the product tells time: claims and the Date header count whole seconds. Any difference
// between two of its times is too long by less than that.
const grain = time.Second

// maxSensibleLife is beyond what an access token is made for. A claim that says more is in another unit, and
// not believed; of an expires_in that says more, so much is.
const maxSensibleLife = 366 * 24 * time.Hour

// Where a token's life is known from.
const (
	sourceIssuedAt  = "claims exp and iat of the token"
	sourceDate      = "claim exp of the token and the answer's Date header"
	sourceExpiresIn = "expires_in"
)

// claims are what is read of a token that is a JWT. Zero times and an empty subject are absent.
type claims struct {
	expires  time.Time
	issuedAt time.Time
	subject  string
}

// parseClaims reads the payload of a JWT, and returns nothing for a token that is none.
//
// The signature is not checked, and could not be: the product publishes no key. Nothing is trusted on its
// account. The token came over the connection whose certificate was checked, and all that is read is how long
// its issuer says it lives.
func parseClaims(token string) claims {
	payload := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(token, payload)
	// A signature algorithm that the library does not know is the product's business.
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

// expiry is when a token ends on this machine's clock, never late, and why we think so.
type expiry struct {
	at       time.Time
	lifetime time.Duration
	source   string
}

// expiry tells when the token ends.
//
// The token's own expiry is the most reliable source, by the public clients. It is read as a difference
// between two times of the product's clock, which is not trusted, and counted from before the request was
// sent. expires_in contradicts itself: the schema says minutes, the sample beside it can only mean seconds.
// So it decides alone only for a token that does not tell, and then as seconds, the shorter reading, unless
// the operator knows the unit. An operator's unit is also held against the claim: the earlier end counts.
func (m *issuedToken) expiry(unit string) (*expiry, error) {
	life, source := m.claimedLife()
	answered := m.answeredLife(unit)
	if answered > 0 && (source == "" || unit != unitAuto && answered < life) {
		life, source = answered, sourceExpiresIn
	}
	if source == "" {
		return nil, m.response.UnexpectedResponse("the answer does not say how long the access token lives")
	}
	// Cut, because a fraction of a second is never what the product meant.
	life = (life - grain).Truncate(time.Second)
	if life <= 0 {
		return nil, &provider.Error{
			Class: provider.ClassUnavailable, Op: opExchange,
			Message: "the product answered with an access token that ends at once",
			Remedy:  "look at the client's Access Token Expiry in the FortiSIEM GUI and at expires_in_unit",
		}
	}
	return &expiry{at: m.sentAt.Add(life), lifetime: life, source: source}, nil
}

// claimedLife is how long the token lives by its own claims. The source is empty when they do not tell.
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
	if life > maxSensibleLife {
		return 0, ""
	}
	// A difference that is too large is cut to the shortest Duration, from which nothing can be taken away.
	return max(life, 0), source
}

// answeredLife is how long the token lives by expires_in, zero when it does not tell.
func (m *issuedToken) answeredLife(unit string) time.Duration {
	scale := time.Second
	if unit == unitMinutes {
		scale = time.Minute
	}
	// Compared before it is converted: so many minutes are no time.Duration.
	return time.Duration(min(m.expiresIn*float64(scale), float64(maxSensibleLife)))
}
