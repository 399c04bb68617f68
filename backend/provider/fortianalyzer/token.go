package fortianalyzer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

const (
	// defaultTokenLife is the lifetime of an access token whose answer contains no usable expires_in. The vendor's
	// documents show 3600, 3660 and 14400 seconds.
	defaultTokenLife = time.Hour

	// maxTokenLife is the longest believable lifetime of an access token.
	maxTokenLife = 30 * 24 * time.Hour

	// maxTokenMargin is how long before its end an access token is replaced. A token with a short life is replaced
	// when a tenth of its life is left.
	maxTokenMargin = time.Minute

	// minTokenAge is the age from which a rejected login is blamed on the access token, if the OAuth server cannot tell
	// whether the token is valid. Before that, the instance rejects the login for another reason, such as login-max.
	minTokenAge = time.Minute

	// minReplaceInterval is the shortest time between two replacements of an access token, if the instance rejects
	// the second one too.
	minReplaceInterval = time.Minute

	// minPasswordInterval is the shortest time between two password grants that replace rejected access tokens. Each
	// password grant counts towards the lockout of the FortiCloud account.
	minPasswordInterval = 5 * time.Minute
)

// accessToken is an access token of the OAuth server, or what remains to be known when it has ended. It is immutable.
type accessToken struct {
	value        string // empty when the token has ended
	refreshToken string // empty when there is none
	expiresAt    time.Time
	obtainedAt   time.Time
	// password is the digest of the password that the token goes back to, and replacedAt is when that was last sent
	// because the instance had rejected a token; zero if never.
	password   string
	replacedAt time.Time
	// rejected is true if the token has ended because the instance rejected it.
	rejected bool
}

// fresh reports whether the token lives long enough to be used. A token from the future was obtained while the clock
// was ahead: its end is not known.
func (t *accessToken) fresh(now time.Time) bool {
	if t == nil || t.value == "" || t.obtainedAt.After(now) {
		return false
	}
	margin := min(maxTokenMargin, t.expiresAt.Sub(t.obtainedAt)/10)
	return now.Before(t.expiresAt.Add(-margin))
}

// of reports whether the token was obtained with a password, given by its digest.
func (t *accessToken) of(password string) bool { return t != nil && t.password == password }

// passwordRest returns how long the password is not sent again because the instance rejected the token. A time from the
// future was recorded while the clock was ahead.
func (t *accessToken) passwordRest(now time.Time) time.Duration {
	if t == nil || !t.rejected || t.replacedAt.After(now) {
		return 0
	}
	return t.replacedAt.Add(minPasswordInterval).Sub(now)
}

// ended returns what remains of the token after the OAuth server has refused to refresh it.
func (t *accessToken) ended(rejected bool) *accessToken {
	return &accessToken{password: t.password, replacedAt: t.replacedAt, rejected: rejected}
}

// passwordDigest identifies the password of an API user without containing it.
func passwordDigest(username, password string) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q", username, password))
	return hex.EncodeToString(digest[:])
}
