package lacework

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestExpiry_AnyAnswer_IsNeverLate(t *testing.T) {
	sent := time.Date(2026, time.May, 1, 10, 0, 0, 500_000_000, time.UTC)
	server := time.Date(2026, time.May, 1, 9, 58, 0, 0, time.UTC) // its clock is two minutes slow
	const layout = "2006-01-02T15:04:05.000Z"
	for name, test := range map[string]struct {
		expiresAt  string
		serverTime time.Time
		want       time.Duration // after sent; zero means an error
	}{
		"as requested":                 {server.Add(time.Hour).Format(layout), server, time.Hour},
		"less than a second of lag":    {server.Add(time.Hour + 900*time.Millisecond).Format(layout), server, time.Hour},
		"less than requested":          {server.Add(30*time.Minute + 900*time.Millisecond).Format(layout), server, 30 * time.Minute},
		"more than requested":          {server.Add(2 * time.Hour).Format(layout), server, time.Hour},
		"no milliseconds":              {server.Add(time.Hour).Format(time.RFC3339), server, time.Hour},
		"another time zone":            {server.Add(time.Hour).In(time.FixedZone("", 7200)).Format(time.RFC3339), server, time.Hour},
		"already expired":              {server.Add(-time.Second).Format(layout), server, 0},
		"expires at once":              {server.Add(500 * time.Millisecond).Format(layout), server, 0},
		"no Date, less than requested": {sent.Add(30 * time.Minute).Format(layout), time.Time{}, 30 * time.Minute},
		"no Date, more than requested": {sent.Add(3 * time.Hour).Format(layout), time.Time{}, time.Hour},
		"no Date, already expired":     {sent.Add(-time.Hour).Format(layout), time.Time{}, 0},
		"no expiry":                    {"", server, time.Hour},
		"not a time":                   {"tomorrow", server, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			issued := &issuedToken{token: "t", expiresAt: test.expiresAt, sentAt: sent, serverTime: test.serverTime}
			end, err := issued.expiry(time.Hour)
			if test.want == 0 {
				assert.Equal(t, provider.ClassAmbiguous, provider.ClassOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, end.Sub(sent))
		})
	}
}
