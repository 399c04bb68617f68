package providertest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func fired(channel <-chan time.Time) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}

func TestClock_Now_ChangesByAdvanceOnly(t *testing.T) {
	clock := providertest.NewClock()
	start := clock.Now()
	assert.Equal(t, start, clock.Now())
	clock.Advance(time.Minute)
	assert.Equal(t, start.Add(time.Minute), clock.Now())
}

func TestClock_After_FiresOnceWhenDue(t *testing.T) {
	clock := providertest.NewClock()
	soon, later, now := clock.After(time.Second), clock.After(time.Hour), clock.After(0)
	assert.True(t, fired(now))
	assert.False(t, fired(soon))
	clock.Advance(time.Second)
	assert.True(t, fired(soon))
	assert.False(t, fired(soon))
	assert.False(t, fired(later))
	clock.Set(clock.Now().Add(time.Hour))
	assert.True(t, fired(later))
}
