package ftd

import "time"

// refreshMargin is the shortest remaining life with which an access token of the engine's login is used.
const refreshMargin = 60 * time.Second

// defaultAccessLifetime and defaultRefreshLifetime are the documented lifetimes of a login's two tokens. They apply
// when the device's answer does not contain them.
const (
	defaultAccessLifetime  = 1800 * time.Second
	defaultRefreshLifetime = 2400 * time.Second
)

// session is a login of the engine at the device: a pair of tokens and their expiry times on this machine's clock.
type session struct {
	accessToken      string
	accessExpiresAt  time.Time
	refreshToken     string // empty when the device returned none
	refreshExpiresAt time.Time
}

// newSession returns the session that a login or a refresh has opened.
func newSession(grant *tokenGrant) *session {
	opened := &session{accessToken: grant.AccessToken, refreshToken: grant.RefreshToken}
	if grant.ExpiresIn <= 0 {
		grant.ExpiresIn = int64(defaultAccessLifetime / time.Second)
	}
	opened.accessExpiresAt = grant.expiry(grant.ExpiresIn)
	if opened.refreshToken != "" {
		if grant.RefreshExpiresIn <= 0 {
			grant.RefreshExpiresIn = int64(defaultRefreshLifetime / time.Second)
		}
		opened.refreshExpiresAt = grant.expiry(grant.RefreshExpiresIn)
	}
	return opened
}

// fresh reports whether the access token lives long enough to be used.
func (s *session) fresh(now time.Time) bool { return s.accessExpiresAt.Sub(now) >= refreshMargin }

// refreshable reports whether there is a refresh token that has not expired.
func (s *session) refreshable(now time.Time) bool {
	return s.refreshToken != "" && s.refreshExpiresAt.After(now)
}
