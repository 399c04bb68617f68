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
func (t *service) of(id string) *attempt {
	a := t.attempts[id]
	if a == nil {
		a = &attempt{}
		t.attempts[id] = a
	}
	return a
}

// admit applies the limits to a token request. refusal is what to tell the client, "" when it is served.
func (t *service) admit(id string) (refusal string) {
	a, now := t.of(id), t.env.Now()
	if now.Before(a.blocked) {
		return messageThreshold
	}
	since := now.Sub(a.last) // negative when the skew switch has set the clock back
	early := !a.last.IsZero() && since >= 0 && since < t.env.Duration(switchInterval)
	if !early || t.env.Switch(switchIntervalFrom) == "any_request" {
		a.last = now
	}
	if early {
		if t.env.Enabled(switchEarlyIsFailure) {
			t.failed(id)
		}
		return messageRate
	}
	return ""
}

// failed counts a refusal, and blocks the client id when there were too many.
func (t *service) failed(id string) {
	a := t.of(id)
	a.failures++
	if limit := t.env.Integer(switchThreshold); limit > 0 && a.failures >= limit {
		a.failures, a.blocked = 0, t.env.Now().Add(t.env.Duration(switchBlock))
	}
}

// succeeded forgets earlier failures.
func (t *service) succeeded(id string) { t.of(id).failures = 0 }
