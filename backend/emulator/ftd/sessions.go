package ftd

import (
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Limits from the "Overview of the API Client Authentication Process" (session limit) and the token
// reference (lifetimes).
const (
	sessionLimit = 5

	passwordLife        = 1800 * time.Second
	passwordRefreshLife = 2400 * time.Second
	maximumLife         = 31_536_000 * time.Second
	maximumRefreshLife  = 34_128_000 * time.Second
)

// unlimited is the refresh count of a login, as in the vendor's sample tokens.
const unlimited = -1

// The origins of a session. The first two are also values of the claim origin in its tokens.
const (
	originPassword = "password"
	originCustom   = "custom"
	originUI       = "ui"
)

// session is a token pair, or a login to the web interface. The device limits the number of sessions.
type session struct {
	id      string // jti of all its tokens
	listed  string // its id in activeusersessions, if that is not the jti
	origin  string
	subject string
	user    *user
	parent  string // jti of the login that requested a custom token

	issued, refreshed, used time.Time

	life, refreshLife time.Duration
	refreshes         int // remaining, or unlimited
	tokens            []*token
	accessExpires     time.Time // of the newest access token
}

// token is one access or refresh token.
type token struct {
	value   string
	session *session
	refresh bool
	used    bool // a refresh token that was exchanged for a new pair
	expires time.Time
	revoked bool
}

// pair is the pair of tokens in the answer to a grant.
type pair struct {
	access, refresh   string // refresh is "" if there is none
	life, refreshLife time.Duration
}

// valid reports whether the token is live.
func (svc *service) valid(k *token) bool {
	return k != nil && !k.revoked && svc.env.Now().Before(k.expires) && svc.env.History.Live(k.session.id)
}

// access returns the session of a live access token, or nil.
func (svc *service) access(value string) *session {
	k := svc.tokens[value]
	if !svc.valid(k) || k.refresh {
		return nil
	}
	return k.session
}

// open opens a session and records it. If there are too many sessions, it ends others. issue corrects the
// session's expiry when it makes tokens.
func (svc *service) open(s *session) {
	now := svc.env.Now()
	s.id, s.listed = svc.env.Random.UUID(1), svc.env.Random.UUID(1)
	s.issued, s.refreshed, s.used = now, now, now
	kind := emulator.KindLogin
	marker := ""
	switch s.origin {
	case originCustom:
		kind, marker = emulator.KindLeased, s.subject
	case originUI:
		marker = originUI
	}
	svc.env.History.Issue(s.id, kind, marker, now.Add(s.life))
	svc.prune()
	svc.sessions = append(svc.sessions, s)
	svc.evict(s)
}

// issue makes a pair of tokens for a session. The times in a JWT are whole seconds, so lifetimes start at the
// current whole second.
func (svc *service) issue(s *session) pair {
	now := svc.env.Now().Truncate(time.Second)
	p := pair{life: s.life}
	s.accessExpires = now.Add(s.life)
	base := claims{IssuedAt: now.Unix(), NotBefore: now.Unix(), Subject: s.subject, ID: s.id, Origin: s.origin}
	access, refresh := base, base
	access.TokenType, access.Expires, access.Serial = "JWT_Access", s.accessExpires.Unix(), svc.env.Random.Hex(8)
	if s.refreshes != 0 {
		expires := now.Add(s.refreshLife)
		p.refreshLife = s.refreshLife
		access.RefreshExpires = expires.UnixMilli()
		count := s.refreshes
		refresh.TokenType, refresh.Expires, refresh.RefreshCount = "JWT_Refresh", expires.Unix(), &count
		refresh.AccessExpires, refresh.Serial = s.accessExpires.UnixMilli(), svc.env.Random.Hex(8)
		p.refresh = svc.sign(refresh)
		svc.addToken(&token{value: p.refresh, session: s, refresh: true, expires: expires})
	}
	p.access = svc.sign(access)
	svc.addToken(&token{value: p.access, session: s, expires: s.accessExpires})
	svc.updateExpiry(s)
	return p
}

// addToken stores a token, so that a request with it finds its session.
func (svc *service) addToken(k *token) {
	svc.tokens[k.value] = k
	k.session.tokens = append(k.session.tokens, k)
}

// updateExpiry sets the session's expiry in the history to the last expiry of its usable tokens. It ends the
// session if no usable token remains.
func (svc *service) updateExpiry(s *session) {
	var last time.Time
	for _, k := range s.tokens {
		spent := k.used && svc.env.Switch(switchRefreshReuse) == "reject"
		if svc.valid(k) && !spent && k.expires.After(last) {
			last = k.expires
		}
	}
	if last.IsZero() {
		svc.end(s, emulator.EndedRevoked)
		return
	}
	svc.env.History.Extend(s.id, last)
}

// end ends a session. It reports false if the session had ended before.
func (svc *service) end(s *session, by string) bool {
	ended := svc.env.History.End(s.id, by)
	svc.prune()
	return ended
}

// prune deletes ended sessions and their tokens, since a benchmark makes very many.
func (svc *service) prune() {
	svc.sessions = slices.DeleteFunc(svc.sessions, func(s *session) bool {
		if svc.env.History.Live(s.id) {
			return false
		}
		for _, k := range s.tokens {
			delete(svc.tokens, k.value)
		}
		return true
	})
}

// occupies reports whether a live session counts towards the session limit.
func (svc *service) occupies(s *session) bool {
	if s.origin == originCustom && !svc.env.Enabled(switchCustomCounts) {
		return false
	}
	if s.origin != originUI && svc.env.Switch(switchSlotUntil) == "access" {
		return svc.env.Now().Before(s.accessExpires)
	}
	return true
}

// evict ends the oldest sessions until the new session is within the limit. It never ends the new session
// itself. Clients get no notice.
func (svc *service) evict(newSession *session) {
	limit := svc.env.Integer(switchSessionLimit)
	if limit == 0 || newSession.origin == originCustom && !svc.env.Enabled(switchCustomCounts) {
		return
	}
	svc.prune()
	var others []*session
	for _, s := range svc.sessions {
		sameScope := s.user == newSession.user || svc.env.Switch(switchSessionScope) == "device"
		if s != newSession && sameScope && svc.occupies(s) {
			others = append(others, s)
		}
	}
	slices.SortStableFunc(others, func(a, b *session) int { return svc.age(a).Compare(svc.age(b)) })
	for len(others) > limit-1 {
		svc.end(others[0], emulator.EndedEvicted)
		others = others[1:]
	}
}

// age returns the time by which evict orders sessions; the earliest is the oldest session.
func (svc *service) age(s *session) time.Time {
	switch svc.env.Switch(switchOldestBy) {
	case "refresh":
		return s.refreshed
	case "use":
		return s.used
	}
	return s.issued
}
