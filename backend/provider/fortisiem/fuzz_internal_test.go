package fortisiem

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// FuzzExpiry determines the expiry of random tokens in random answers, in each unit.
func FuzzExpiry(f *testing.F) {
	for _, token := range []string{
		"", "opaque", "..", "eyJhbGciOiJub25lIn0.e30.",
		"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3NjczMzQ5ODUsImlhdCI6MTc2NzMyNDE4NX0.c2ln", // a lifetime of three hours
		"eyJhbGciOiJub25lIn0.eyJleHAiOjFlMzAsImlhdCI6LTFlMzB9.",                     // 1e30 and -1e30
		"eyJhbGciOiJub25lIn0.eyJleHAiOiIxNzY3MzM0OTg1In0.",                          // exp in quotes
	} {
		for _, expiresIn := range []string{"", "180", `"10800"`, "-1", "1e400", "null", "0.5", "9223372036854775807"} {
			f.Add(token, expiresIn, "Fri, 02 Jan 2026 03:04:05 GMT")
		}
	}
	sent := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, token, expiresIn, date string) {
		response := &httpclient.Response{Status: http.StatusOK, SentAt: sent}
		response.ServerTime, _ = http.ParseTime(date)
		for _, unit := range units {
			issued := &issuedToken{
				token: token, claims: parseClaims(token), expiresIn: number(json.RawMessage(expiresIn)), sentAt: sent, response: response,
			}
			known, err := issued.expiry(unit)
			if err != nil {
				class := provider.ClassOf(err)
				assert.True(t, class == provider.ClassAmbiguous, "%v", err)
				continue
			}
			assert.True(t, known.at.After(sent))
			assert.Equal(t, known.lifetime, known.at.Sub(sent))
			assert.LessOrEqual(t, known.lifetime, maxPlausibleLifetime)
		}
	})
}
