package httpclient_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

func TestParseAddress_ValidAddress_IsNormalized(t *testing.T) {
	for given, want := range map[string]string{
		"acme.lacework.net":              "https://acme.lacework.net",
		"  Acme.Lacework.NET \n":         "https://acme.lacework.net",
		"10.0.0.1":                       "https://10.0.0.1",
		"10.0.0.1:8443":                  "https://10.0.0.1:8443",
		"ftd.example:443":                "https://ftd.example:443",
		"::1":                            "https://[::1]",
		"2001:db8::1":                    "https://[2001:db8::1]",
		"[2001:db8::1]:8443":             "https://[2001:db8::1]:8443",
		"https://dsm.example:4119/":      "https://dsm.example:4119",
		"https://dsm.example:4119/api//": "https://dsm.example:4119/api",
		"dsm.example/rest/./api":         "https://dsm.example/rest/api",
		"HTTPS://dsm.example/API":        "https://dsm.example/API",
		"http://127.0.0.1:8080":          "http://127.0.0.1:8080",
		"http://localhost:8080/api":      "http://localhost:8080/api",
		"http://[::1]:8080":              "http://[::1]:8080",
	} {
		t.Run(given, func(t *testing.T) {
			parsed, err := httpclient.ParseAddress(given)
			require.NoError(t, err)
			require.NoError(t, httpclient.CheckTarget(parsed, providertest.Loopback()))
			assert.Equal(t, want, parsed.String())
		})
	}
}

func TestParseAddress_InvalidAddress_IsNotQuoted(t *testing.T) {
	for name, given := range map[string]string{
		"empty":              "",
		"blank":              " \t",
		"no host":            "https://",
		"no host but a port": "https://:443",
		"plain http":         "http://hunter2.example",
		"other scheme":       "ftp://hunter2.example",
		"userinfo":           "https://admin:hunter2@ftd.example",
		"bare userinfo":      "admin:hunter2@ftd.example",
		"query":              "https://ftd.example/?token=hunter2",
		"empty query":        "https://ftd.example/hunter2?",
		"fragment":           "https://ftd.example/#hunter2",
		"empty port":         "ftd.example:",
		"port zero":          "ftd.example:0",
		"port too high":      "ftd.example:65536",
		"port not a number":  "ftd.example:hunter2",
		"space in host":      "hunter2 .example",
		"quote in host":      "https://hunter2\".example",
		"escaped slash":      "https://ftd.example/a%2fhunter2",
		"control character":  "https://hunter2\x00.example",
		"loopback lookalike": "http://127.0.0.1.hunter2.example",
		"localhost prefix":   "http://localhost.hunter2.example",
		"not ASCII":          "https://hünter2.example",
		"full-width digits":  "https://１27.0.0.1",
		"ideographic dot":    "https://127。0.0.1",
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := httpclient.ParseAddress(given)
			if err == nil {
				err = httpclient.CheckTarget(parsed, providertest.Loopback())
			}
			require.Error(t, err)
			failure, ok := errors.AsType[*provider.Error](err)
			require.True(t, ok)
			assert.Equal(t, provider.ClassInvalid, failure.Class)
			assert.Equal(t, "address", failure.Field)
			assert.NotContains(t, failure.Error(), "hunter2")
		})
	}
}
