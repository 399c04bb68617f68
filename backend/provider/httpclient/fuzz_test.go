package httpclient

import (
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// requireField requires a ClassInvalid error that names the field and does not quote its value.
func requireField(t *testing.T, err error, field, value string) {
	t.Helper()
	failure, ok := errors.AsType[*provider.Error](err)
	require.True(t, ok, "not an *Error: %v", err)
	require.Equal(t, provider.ClassInvalid, failure.Class)
	require.Equal(t, field, failure.Field)
	if len(value) > 24 { // a shorter one occurs in a message by chance
		require.NotContains(t, failure.Error(), value)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, address := range []string{
		"", "vendor.example", "vendor.example:8443", "https://vendor.example/api/", "http://127.0.0.1:8080", "http://localhost",
		"http://vendor.example", "https://user:hunter2@vendor.example", "::1", "[::1]:443", "https://[fe80::1%25eth0]/", "https://a/%2f..",
		"https://vendor.example?x#y", "ftp://x", "https:///", "https://a:99999", "HTTPS://VENDOR.example//a/../b", "https://a\x00b", "https://ä.example",
		"acme", "https://a:b@c", "[::1", "http://127.0.0.1:80/x?y#z", "%zz", "a b",
	} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		base, err := ParseAddress(address)
		if err != nil {
			requireField(t, err, "address", address)
			return
		}
		loopback := provider.AddressRanges{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		client, err := New(Options{Address: address, AllowAddresses: loopback})
		if err != nil {
			requireField(t, err, "address", address)
		} else if base.Scheme != "https" {
			require.Equal(t, "http", base.Scheme)
			ip, err := netip.ParseAddr(base.Hostname())
			isLocalhost := err != nil && strings.HasSuffix(strings.TrimSuffix(base.Hostname(), "."), "localhost")
			require.True(t, isLocalhost || loopback.Contains(ip), "a secret is never sent unencrypted: %s", base)
		}
		assert.NotEmpty(t, base.Hostname())
		assert.Nil(t, base.User)
		assert.Empty(t, base.RawQuery+base.Fragment)
		assert.False(t, strings.HasSuffix(base.String(), "/"), "%s", base)
		again, err := ParseAddress(base.String())
		require.NoError(t, err, "%q became %q", address, base)
		assert.Equal(t, base.String(), again.String())
		if client == nil {
			return
		}
		_, err = client.wireRequest(t.Context(), Request{Path: "/x"}, nil, "")
		require.NoError(t, err, "a request to it can be built")
	})
}

func FuzzRedact(f *testing.F) {
	for _, text := range []string{
		"", "§", "password § is wrong", "a§\x00§b", "hun\x00ter2hunter2", "\x1b[31m§", "<!DOCTYPE html>§", `{"access_token":"§"}`,
		"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln", "\xff\xfe§", strings.Repeat("§ä", 400), "line\u2028line\u202e",
	} {
		f.Add(text, "hunter2hunter2")
	}
	f.Add("<html>§\x00", "a")
	f.Fuzz(func(t *testing.T, text, secret string) {
		shown := Redact(strings.ReplaceAll(text, "§", secret), secret)
		assert.True(t, utf8.ValidString(shown))
		assert.LessOrEqual(t, utf8.RuneCountInString(shown), maxTextRunes+1)
		assert.False(t, strings.ContainsFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", shown)
		// The replacement may contain a short secret, or form one together with the text around it.
		if len(secret) >= 8 && !strings.ContainsAny(secret, "[]…") && !strings.Contains(htmlSummary+redacted, secret) {
			assert.NotContains(t, shown, secret)
		}
	})
}

func FuzzResponse(f *testing.F) {
	for status, body := range map[int]string{
		200: `{"a":1}`, 204: "", 302: "", 400: `{"message":"§"}`, 401: "<html>", 403: "§", 404: "null", 408: "", 423: "", 429: "slow down",
		500: strings.Repeat("[", 10000), 501: "{", 503: `{"a":1} {}`, 599: "\x00",
	} {
		for _, retryAfter := range []string{"", "7", "-7", "9223372036854775808", "Fri, 02 Jan 2026 03:04:12 GMT", "tomorrow"} {
			f.Add(status, retryAfter, "Fri, 02 Jan 2026 03:04:05 GMT", "https://elsewhere.example/?§", body, status%2 == 0)
		}
	}
	const secret = "hunter2hunter2"
	now := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, retryAfter, date, location, body string, idempotent bool) {
		for _, text := range []*string{&location, &body} {
			*text = strings.ReplaceAll(*text, "§", secret)
		}
		response := &Response{
			Status: status, Body: []byte(body), SentAt: now, now: now,
			Header:  http.Header{"Retry-After": {retryAfter}, "Date": {date}, "Location": {location}},
			request: Request{Op: "vendor: step", Idempotent: idempotent, Secrets: []string{secret}},
		}
		var target struct {
			Token   string `json:"token"`
			Expires int64  `json:"expires"`
		}
		failures := []error{response.StatusError(""), response.StatusError(body), response.Decode(&target), response.Decode(&map[string]json.RawMessage{})}
		for i, err := range failures {
			if err == nil {
				continue
			}
			failure, ok := errors.AsType[*provider.Error](err)
			require.True(t, ok)
			assert.NotEqual(t, provider.ClassUnknown, failure.Class)
			if idempotent {
				assert.NotEqual(t, provider.ClassAmbiguous, failure.Class, "an idempotent request is never ambiguous")
			}
			if i > 1 {
				assert.False(t, !idempotent && failure.Class.Definite(), "it is not known what the server did")
			}
			assert.NotContains(t, err.Error(), secret)
			assert.Less(t, utf8.RuneCountInString(err.Error()), 2*maxTextRunes)
			assert.False(t, strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }), "%q", err)
			assert.GreaterOrEqual(t, failure.RetryAfter, time.Duration(0))
			assert.LessOrEqual(t, failure.RetryAfter, maxRetryAfter)
		}
	})
}

func FuzzParseCACert(f *testing.F) {
	const whole = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
	for _, bundle := range []string{
		"", "not a certificate", whole, whole + "-----BEGIN CERTIFICATE-----\nMA", "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n", string(fuzzCA(f)),
		string(fuzzCA(f)) + whole, "text before\n" + string(fuzzCA(f)) + "text after",
	} {
		f.Add([]byte(bundle))
	}
	f.Fuzz(func(t *testing.T, bundle []byte) {
		pool, err := parseCACert(bundle)
		if err != nil {
			requireField(t, err, "ca_cert", string(bundle))
			return
		}
		require.NotNil(t, pool)
		_, err = New(Options{Address: "vendor.example", CACert: string(bundle)})
		require.NoError(t, err)
	})
}

// fuzzCA returns a valid certificate.
func fuzzCA(f *testing.F) []byte {
	f.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}
