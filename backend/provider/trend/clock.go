package trend

import (
	"sync"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// dateResolution is the resolution of the Date header: the manager's clock can be later than the header by
// less than this.
const dateResolution = time.Second

// managerClock converts between the local clock and the manager's clock. expiryDate is an absolute time on the
// manager's clock, which can differ from the local clock by hours. The difference comes from the Date headers
// of the manager's responses. Safe for concurrent use.
//
// Both conversions err on the safe side. toServer never assumes too early a time at the manager, so that a key
// does not expire too early. toLocal never returns too late a time.
type managerClock struct {
	local provider.Clock

	mu    sync.Mutex
	ahead time.Duration // upper bound of the manager's time minus the local time; can be negative
}

// observe updates the difference from a response. A response without a Date header changes nothing: the last
// difference stays, which is zero at first.
func (c *managerClock) observe(response *httpclient.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !response.ServerTime.IsZero() {
		c.ahead = response.ServerTime.Add(dateResolution).Sub(response.SentAt)
	}
}

// toServer returns the expiryDate of a key with the given lifetime, on the manager's clock. It rounds up to a
// whole second, so that a manager that stores whole seconds does not shorten the lifetime.
func (c *managerClock) toServer(lifetime time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	expiresAt := c.local.Now().Add(c.ahead).Add(lifetime)
	if rounded := expiresAt.Truncate(time.Second); rounded.Before(expiresAt) {
		return rounded.Add(time.Second)
	}
	return expiresAt
}

// toLocal converts a time on the manager's clock to the local clock, in UTC.
func (c *managerClock) toLocal(serverTime time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return serverTime.Add(-c.ahead).UTC()
}
