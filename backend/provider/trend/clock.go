package trend

import (
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// dateResolution is how much later than its Date header the manager's clock may show.
const dateResolution = time.Second

// managerClock is the manager's clock, as far as it is known from the Date headers of its answers. expiryDate
// is an absolute time on that clock, which may be wrong by hours against ours. Safe for concurrent use.
//
// Both directions err to the safe side: the manager's time is never taken for earlier than it is, so that a
// key does not end early, and an end is never taken for later than it is.
type managerClock struct {
	local provider.Clock

	mu    sync.Mutex
	asked bool
	ahead time.Duration // at most how far it is ahead of ours; negative when behind
}

// observe takes the time from an answer. One without a Date header leaves what is known; at first that is our
// own clock.
func (c *managerClock) observe(answer *httpclient.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = true
	if !answer.ServerTime.IsZero() {
		c.ahead = answer.ServerTime.Add(dateResolution).Sub(answer.SentAt)
	}
}

// known reports whether an answer has been seen.
func (c *managerClock) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// toServer returns the expiryDate of a key that shall live that long. It is a whole second, so that a manager that
// keeps no fractions keeps all of it.
func (c *managerClock) toServer(lifetime time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := c.local.Now().Add(c.ahead).Add(lifetime)
	if rounded := wanted.Truncate(time.Second); rounded.Before(wanted) {
		return rounded.Add(time.Second)
	}
	return wanted
}

// toLocal returns a time of the manager's on our clock.
func (c *managerClock) toLocal(theirs time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return theirs.Add(-c.ahead).UTC()
}
