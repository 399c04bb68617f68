package trend

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// rateLimit is the documented default number of calls per window of one user, which for API keys means key.
const rateLimit = 500

// rateWindow is the documented length of the sliding window.
const rateWindow = time.Minute

// window holds the times of the calls that counted, the oldest first.
type window struct{ calls []time.Time }

// full tells whether another call exceeds the limit, and when it no longer would.
func (v *window) full(limit int, now time.Time) (wait time.Duration, full bool) {
	// A time after now is from before the clock was set back by the skew switch.
	v.calls = slices.DeleteFunc(v.calls, func(at time.Time) bool { return at.After(now) || now.Sub(at) >= rateWindow })
	if limit == 0 || len(v.calls) < limit {
		return 0, false
	}
	return v.calls[len(v.calls)-limit].Add(rateWindow).Sub(now), true
}

// admit counts a call, or answers 429 itself when a limit is reached. Calls that are refused do not count.
func (t *service) admit(w http.ResponseWriter, who caller) bool {
	now := t.env.Now()
	limits := map[string]int{
		who.limited(): t.env.Integer(switchRateLimit),
		"tenant":      t.env.Integer(switchTenantRateLimit),
	}
	for name, limit := range limits {
		v := t.calls[name]
		if v == nil {
			v = &window{}
			t.calls[name] = v
		}
		wait, full := v.full(limit, now)
		if !full {
			continue
		}
		if t.env.Switch(switchRetryAfter) == "present" {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		}
		refuse(w, http.StatusTooManyRequests, "Too many API requests")
		return false
	}
	for name := range limits {
		t.calls[name].calls = append(t.calls[name].calls, now)
	}
	return true
}
