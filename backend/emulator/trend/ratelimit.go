package trend

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// rateLimit is the documented default of calls per window of one user. For API keys, it applies to each key.
const rateLimit = 500

// rateWindow is the documented length of the sliding window.
const rateWindow = time.Minute

// window holds the times of the calls within the sliding window, the oldest first.
type window struct{ calls []time.Time }

// full reports whether another call exceeds the limit, and the time until it would not.
func (v *window) full(limit int, now time.Time) (wait time.Duration, full bool) {
	// A time after now was recorded before the switch clock_skew set the clock back.
	v.calls = slices.DeleteFunc(v.calls, func(at time.Time) bool { return at.After(now) || now.Sub(at) >= rateWindow })
	if limit == 0 || len(v.calls) < limit {
		return 0, false
	}
	return v.calls[len(v.calls)-limit].Add(rateWindow).Sub(now), true
}

// admit counts a call. If a limit is reached, it answers 429 and reports false. Refused calls do not count.
func (svc *service) admit(w http.ResponseWriter, who caller) bool {
	now := svc.env.Now()
	limits := map[string]int{
		who.limited(): svc.env.Integer(switchRateLimit),
		"tenant":      svc.env.Integer(switchTenantRateLimit),
	}
	for name, limit := range limits {
		v := svc.calls[name]
		if v == nil {
			v = &window{}
			svc.calls[name] = v
		}
		wait, full := v.full(limit, now)
		if !full {
			continue
		}
		if svc.env.Switch(switchRetryAfter) == "present" {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		}
		refuse(w, http.StatusTooManyRequests, "Too many API requests")
		return false
	}
	for name := range limits {
		svc.calls[name].calls = append(svc.calls[name].calls, now)
	}
	return true
}
