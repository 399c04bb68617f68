package fortisiem

import (
	"net/http"
	"strconv"
	"time"
)

// attempt counts the token requests of one client id. That the limits apply to each client id is documented for
// the interval, and inferred for the failures.
type attempt struct {
	last     time.Time // start of the interval
	failures int       // since the last success
	blocked  time.Time // end of the block
}

// attemptOf returns the count of a client id.
func (svc *service) attemptOf(id string) *attempt {
	a := svc.attempts[id]
	if a == nil {
		a = &attempt{}
		svc.attempts[id] = a
	}
	return a
}

// admit applies the limits to a token request. refusal is the message of the refusal, "" if the request is within
// the limits.
func (svc *service) admit(id string) (refusal string) {
	a, now := svc.attemptOf(id), svc.env.Now()
	if now.Before(a.blocked) {
		return messageThreshold
	}
	since := now.Sub(a.last) // negative if the switch clock_skew has set the clock back
	early := !a.last.IsZero() && since >= 0 && since < svc.env.Duration(switchInterval)
	if !early || svc.env.Switch(switchIntervalFrom) == "any_request" {
		a.last = now
	}
	if early {
		if svc.env.Enabled(switchEarlyIsFailure) {
			svc.failed(id)
		}
		return messageRate
	}
	return ""
}

// refuseEarly answers a request that is too early in the form of the switch early_answer.
func (svc *service) refuseEarly(w http.ResponseWriter) {
	switch svc.env.Switch(switchEarlyAnswer) {
	case "429_retry_after":
		w.Header().Set("Retry-After", strconv.Itoa(int(svc.env.Duration(switchInterval)/time.Second)))
		svc.refuse(w, http.StatusTooManyRequests, errorName(http.StatusTooManyRequests), "Too many requests")
	case "400_empty":
		w.WriteHeader(http.StatusBadRequest)
	case "400_unknown":
		svc.refuse400(w, "Bad request")
	case "400_documented":
		svc.refuse400(w, messageRate)
	default:
		svc.refuse(w, http.StatusTooManyRequests, errorName(http.StatusTooManyRequests), "Too many requests")
	}
}

// failed counts a refusal, and blocks the client id after too many of them.
func (svc *service) failed(id string) {
	a := svc.attemptOf(id)
	a.failures++
	if limit := svc.env.Integer(switchThreshold); limit > 0 && a.failures >= limit {
		a.failures, a.blocked = 0, svc.env.Now().Add(svc.env.Duration(switchBlock))
	}
}

// succeeded resets the count of refusals.
func (svc *service) succeeded(id string) { svc.attemptOf(id).failures = 0 }
