package lacework

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// rateLimit is the documented number of requests per hour, user and functionality.
const rateLimit = 480

// bucket is a token bucket that refills steadily within an hour.
type bucket struct {
	level float64
	at    time.Time
}

// admit takes a request out of the user's bucket for the functionality, writes the RateLimit headers that
// every response has, and answers 429 itself when the bucket is empty.
func (svc *service) admit(w http.ResponseWriter, r *http.Request, user string) bool {
	limit, now := float64(svc.env.Integer(switchRateLimit)), svc.env.Now()
	name := user + " " + r.Method + " " + operation(r, nil) // all that does not exist shares one bucket
	b := svc.buckets[name]
	if b == nil {
		b = &bucket{level: limit, at: now}
		svc.buckets[name] = b
	}
	perSecond := limit / time.Hour.Seconds()
	// A bucket may have been filled under a larger limit, or its clock set back by the skew switch.
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
