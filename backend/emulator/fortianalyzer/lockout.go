package fortianalyzer

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// attempts are the grants of an API user: those that count towards the lockout of the FortiCloud account, and all of the
// last minute, for the rate limit.
type attempts struct {
	counted []time.Time
	recent  []time.Time
	last    time.Time // the last grant of any kind
	locked  bool
}

// lockedOut counts a grant, and reports whether the account is locked out. valid is whether the grant would succeed. A
// lockout ends when no grant was tried for its duration. It applies to all client_ids and to both grants. Which number
// of grants begins one is unknown, and whether refresh grants count.
func (svc *service) lockedOut(u *user, grant string, valid bool) bool {
	threshold := svc.env.Integer(switchLockoutThreshold)
	if u == nil || threshold == 0 {
		return false
	}
	now, duration := svc.env.Now(), svc.env.Duration(switchLockoutDuration)
	if u.attempts.locked && now.Sub(u.attempts.last) >= duration {
		u.attempts.locked, u.attempts.counted = false, nil
	}
	u.attempts.last = now
	if counts := svc.env.Switch(switchLockoutCounts); counts == "all" || grant == grantPassword && (counts == "password" || !valid) {
		u.attempts.counted = append(slices.DeleteFunc(u.attempts.counted, func(at time.Time) bool { return now.Sub(at) >= duration }), now)
	}
	u.attempts.locked = u.attempts.locked || len(u.attempts.counted) > threshold
	return u.attempts.locked
}

// limited counts a request of an API user, and answers 429 beyond the rate limit.
func (svc *service) limited(w http.ResponseWriter, u *user) bool {
	limit := svc.env.Integer(switchRateLimit)
	if u == nil || limit == 0 {
		return false
	}
	now := svc.env.Now()
	u.attempts.recent = slices.DeleteFunc(u.attempts.recent, func(at time.Time) bool { return now.Sub(at) >= time.Minute })
	if len(u.attempts.recent) < limit {
		u.attempts.recent = append(u.attempts.recent, now)
		return false
	}
	if svc.env.Enabled(switchRetryAfter) {
		wait := u.attempts.recent[0].Add(time.Minute).Sub(now)
		w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	}
	svc.refuseOAuth(w, http.StatusTooManyRequests, "rate_limited", "too many requests")
	return true
}

// lock locks the account of an API user out, as the logins of another program do.
func (svc *service) lock(u *user) map[string]string {
	u.attempts.locked, u.attempts.last = true, svc.env.Now()
	return map[string]string{}
}
