package lacework

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// FuzzExpiry computes the expiry of a token from any answer.
func FuzzExpiry(f *testing.F) {
	for _, expiresAt := range []string{
		"", "2026-01-02T04:04:05.000Z", "2026-01-02T04:04:05+23:59", "9999-12-31T23:59:59.999999999Z", "0000-01-01T00:00:00Z", "tomorrow",
	} {
		for _, date := range []string{"", "Fri, 02 Jan 2026 03:04:05 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Friday, 02-Jan-26 03:04:05 GMT"} {
			f.Add(expiresAt, date, int64(3600))
		}
	}
	sent := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expiresAt, date string, seconds int64) {
		requested := time.Duration(1+uint64(seconds)%uint64(maxLifetime/time.Second)) * time.Second
		issued := &issuedToken{token: "t", expiresAt: expiresAt, sentAt: sent}
		issued.serverTime, _ = http.ParseTime(date)
		end, err := issued.expiry(requested)
		if err != nil {
			assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err))
			return
		}
		assert.True(t, end.After(sent))
		assert.False(t, end.After(sent.Add(requested)), "never later than requested")
	})
}

// FuzzRateLimitReset reads any value of the header.
func FuzzRateLimitReset(f *testing.F) {
	for _, value := range []string{"", "0", "3600", "-1", "9223372036854775807", "1e3", " 7"} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wait := rateLimitReset(http.Header{"Ratelimit-Reset": {value}})
		assert.GreaterOrEqual(t, wait, time.Duration(0))
		assert.LessOrEqual(t, wait, maxReset)
	})
}
