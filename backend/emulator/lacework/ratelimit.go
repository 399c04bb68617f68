package lacework

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// rateLimit is the documented number of requests per hour, user and functionality.
const rateLimit = 480

// bucket is a token bucket. An empty bucket refills at a constant rate within an hour.
type bucket struct {
	level float64
	at    time.Time
}

// admit counts a request in the user's bucket for the functionality, and writes the RateLimit headers, which
// every response has. If the bucket is empty, admit answers 429 and reports false.
func (svc *service) admit(w http.ResponseWriter, r *http.Request, user string) bool {
	limit, now := float64(svc.env.Integer(switchRateLimit)), svc.env.Now()
	name := user + " " + r.Method + " " + operation(r, nil) // all unknown paths share one bucket
	b := svc.buckets[name]
	if b == nil {
		b = &bucket{level: limit, at: now}
		svc.buckets[name] = b
	}
	perSecond := limit / time.Hour.Seconds()
	// The bucket may be fuller than limit if the switch lowered the limit, and b.at may be after now if the
	// switch clock_skew set the clock back.
	b.level = min(limit, b.level+perSecond*max(0, now.Sub(b.at).Seconds()))
	b.at = now
	admitted := b.level >= 1
	if admitted {
		b.level--
	}
	wanted := limit
	if svc.env.Switch(switchRateLimitReset) == "next" {
		wanted = min(1, limit)
	}
	reset := int(time.Hour.Seconds())
	if perSecond > 0 {
		reset = int(math.Ceil(max(0, wanted-b.level) / perSecond))
	}
	w.Header().Set("RateLimit-Limit", strconv.Itoa(int(limit)))
	w.Header().Set("RateLimit-Remaining", strconv.Itoa(int(b.level)))
	w.Header().Set("RateLimit-Reset", strconv.Itoa(reset))
	if !admitted {
		if svc.env.Switch(switchRetryAfter) == "present" {
			w.Header().Set("Retry-After", strconv.Itoa(reset))
		}
		svc.refuse(w, http.StatusTooManyRequests, "Too Many Requests")
	}
	return admitted
}
