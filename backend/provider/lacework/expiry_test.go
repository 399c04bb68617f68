package lacework

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestExpandAccount(t *testing.T) {
	for given, want := range map[string]string{
		"acme":                    "acme.lacework.net",
		" acme ":                  "acme.lacework.net",
		"Acme-2":                  "Acme-2.lacework.net",
		"acme.lacework.net":       "acme.lacework.net",
		"acme.fra.lacework.net":   "acme.fra.lacework.net",
		"https://acme.example/":   "https://acme.example/",
		"acme:8443":               "acme:8443",
		"localhost":               "localhost",
		"-acme":                   "-acme",
		"acme/path":               "acme/path",
		"":                        "",
		"acme.corp.lacework.net.": "acme.corp.lacework.net.",
	} {
		assert.Equal(t, want, expandAccount(given), "%q", given)
	}
}

func TestExpiry(t *testing.T) {
	sent := time.Date(2026, time.May, 1, 10, 0, 0, 500_000_000, time.UTC)
	server := time.Date(2026, time.May, 1, 9, 58, 0, 0, time.UTC) // its clock is two minutes slow
	const layout = "2006-01-02T15:04:05.000Z"
	for name, test := range map[string]struct {
		expiresAt  string
		serverTime time.Time
		want       time.Duration // from sent; zero means an error
	}{
		"as asked":                 {server.Add(time.Hour).Format(layout), server, time.Hour},
		"part of a second of lag":  {server.Add(time.Hour + 900*time.Millisecond).Format(layout), server, time.Hour},
		"less than asked":          {server.Add(30*time.Minute + 900*time.Millisecond).Format(layout), server, 30 * time.Minute},
		"more than asked":          {server.Add(2 * time.Hour).Format(layout), server, time.Hour},
		"no milliseconds":          {server.Add(time.Hour).Format(time.RFC3339), server, time.Hour},
		"another time zone":        {server.Add(time.Hour).In(time.FixedZone("", 7200)).Format(time.RFC3339), server, time.Hour},
		"ended already":            {server.Add(-time.Second).Format(layout), server, 0},
		"ends at once":             {server.Add(500 * time.Millisecond).Format(layout), server, 0},
		"no Date, less than asked": {sent.Add(30 * time.Minute).Format(layout), time.Time{}, 30 * time.Minute},
		"no Date, more than asked": {sent.Add(3 * time.Hour).Format(layout), time.Time{}, time.Hour},
		"no Date, ended already":   {sent.Add(-time.Hour).Format(layout), time.Time{}, 0},
		"no expiry":                {"", server, time.Hour},
		"nonsense":                 {"tomorrow", server, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			minted := &issuedToken{token: "t", expiresAt: test.expiresAt, sentAt: sent, serverTime: test.serverTime}
			end, err := minted.expiry(time.Hour)
			if test.want == 0 {
				assert.Equal(t, provider.ClassUnavailable, provider.ClassOf(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, end.Sub(sent))
		})
	}
}

func TestErrorText(t *testing.T) {
	for body, want := range map[string]string{
		`{"message":"Access Key is null."}`:                                  "Access Key is null.",
		`{"ok":false,"message":"FAILED","data":{"message":"inner"}}`:         "inner",
		`{"ok":false,"message":"FAILED","data":{"statusMessage":"inner"}}`:   "inner",
		`{"ok":false,"message":"FAILED","data":{"ErrorMsg":"inner"}}`:        "inner",
		`{"ok":false,"message":"FAILED","data":[{"message":"in an array"}]}`: "FAILED",
		`{"message":7}`: "",
		`plain`:         "",
		``:              "",
	} {
		assert.Equal(t, want, errorText([]byte(body)), body)
	}
}
