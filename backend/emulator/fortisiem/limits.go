package fortisiem

import "time"

// attempt is what is remembered of the token requests for one client id. That both limits count by client id
// is documented for the interval and inferred for the failures.
type attempt struct {
	last     time.Time // of the request from which the interval counts
	failures int       // since the last success
	blocked  time.Time // until when nothing is served
}

// of returns what is remembered of a client id.
func (svc *service) of(id string) *attempt {
	a := svc.attempts[id]
	if a == nil {
		a = &attempt{}
		svc.attempts[id] = a
	}
	return a
}

// admit applies the limits to a token request. refusal is what to tell the client, "" when it is served.
func (svc *service) admit(id string) (refusal string) {
	a, now := svc.of(id), svc.env.Now()
	if now.Before(a.blocked) {
		return messageThreshold
	}
	since := now.Sub(a.last) // negative when the skew switch has set the clock back
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

// failed counts a refusal, and blocks the client id when there were too many.
func (svc *service) failed(id string) {
	a := svc.of(id)
	a.failures++
	if limit := svc.env.Integer(switchThreshold); limit > 0 && a.failures >= limit {
		a.failures, a.blocked = 0, svc.env.Now().Add(svc.env.Duration(switchBlock))
	}
}

// succeeded forgets earlier failures.
func (svc *service) succeeded(id string) { svc.of(id).failures = 0 }
