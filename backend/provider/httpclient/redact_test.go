package httpclient_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

func TestRedact_EachFormOfASecret_IsReplaced(t *testing.T) {
	const secret = `p&ss "wörd" <1>/+=`
	inJSON, err := json.Marshal(secret)
	require.NoError(t, err)
	basic := base64.StdEncoding.EncodeToString([]byte("admin:" + secret))
	for name, form := range map[string]string{
		"itself":             secret,
		"query escape":       url.QueryEscape(secret),
		"path escape":        url.PathEscape(secret),
		"lower-case escapes": strings.ToLower(url.QueryEscape("&/+=")) + url.QueryEscape(secret),
		"JSON":               string(inJSON),
		"hexadecimal":        hex.EncodeToString([]byte(secret)),
		"base64":             base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 URL":         base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"basic credentials":  basic,
	} {
		t.Run(name, func(t *testing.T) {
			text := httpclient.Redact("before "+form+" after", secret)
			assert.Contains(t, text, "[redacted]")
			assert.NotContains(t, text, form)
			assert.NotContains(t, text, "rd%22")
			assert.True(t, strings.HasPrefix(text, "before ") && strings.HasSuffix(text, " after"), text)
		})
	}
}

func TestRedact_Base64AtEveryOffset_IsReplaced(t *testing.T) {
	const secret = "correct-horse-battery"
	for _, prefix := range []string{"", "a", "ab", "abc", "user:"} {
		for _, suffix := range []string{"", "z", "yz", ":x"} {
			encoded := base64.StdEncoding.EncodeToString([]byte(prefix + secret + suffix))
			text := httpclient.Redact(encoded, secret)
			assert.Contains(t, text, "[redacted]", "%q %q", prefix, suffix)
			assert.Less(t, len(text), len("[redacted]")+16, "%q %q leaves %s", prefix, suffix, text)
		}
	}
}

func TestRedact_OverlappingSecrets_LongestIsReplaced(t *testing.T) {
	assert.Equal(t, "[redacted]!", httpclient.Redact("abcdef!", "abc", "abcdef"))
}

func TestRedact_SecretCompletedByCleaning_IsReplaced(t *testing.T) {
	assert.Equal(t, "[redacted] is wrong", httpclient.Redact("hunt\x00er2\u200bhunter2 is wrong", "hunter2hunter2"))
	assert.Equal(t, "[redacted] is wrong", httpclient.Redact("pass\n\tphrase is wrong", "pass phrase"))
}

func TestRedact_EmptySecret_IsIgnored(t *testing.T) {
	assert.Equal(t, "abc", httpclient.Redact("abc", "", ""))
}

func TestRedact_UnknownToken_IsReplaced(t *testing.T) {
	for name, text := range map[string]string{
		"JWT":           "got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl here",
		"unsigned JWT":  "got eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9. here",
		"bearer":        "Authorization: Bearer _abcdef0123456789",
		"basic":         "authorization: basic YWRtaW46aHVudGVyMg==",
		"JSON member":   `{"access_token":"abc","message":"no"}`,
		"escaped quote": `{"password" : "a\"bc", "message":"no"}`,
		"cut off":       `{"refresh_token":"abc`,
	} {
		t.Run(name, func(t *testing.T) {
			redacted := httpclient.Redact(text)
			assert.Contains(t, redacted, "[redacted]")
			for _, part := range []string{"eyJ", "abc", "YWRtaW", "c2ln", "bc"} {
				assert.NotContains(t, redacted, part)
			}
		})
	}
}

func TestRedact_OrdinaryMessage_IsKept(t *testing.T) {
	for _, text := range []string{
		"Failed to authenticate user",
		`{"error":{"severity":"ERROR","key":"Validation","messages":[{"description":"Validation failed"}]}}`,
		"The token has expired.",
		"Access Key is null.",
	} {
		assert.Equal(t, text, httpclient.Redact(text))
	}
}

func TestRedact_ControlCharacters_AreRemoved(t *testing.T) {
	assert.Equal(t, "a b c[31md", httpclient.Redact("a\r\nb\t\x00 c\x1b[31m\u202ed\xff"))
}

func TestRedact_HTML_IsSummarized(t *testing.T) {
	for _, page := range []string{
		"<!DOCTYPE html><title>hunter2</title>", " \n<html><body>hunter2", "\ufeff<HTML>",
		`<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">`,
	} {
		assert.Equal(t, "an HTML page", httpclient.Redact(page))
	}
}

func TestRedact_LongText_IsCutAfterRedacting(t *testing.T) {
	secret := strings.Repeat("s", 40)
	text := httpclient.Redact(strings.Repeat("ä", 290)+secret+strings.Repeat("x", 1000), secret)
	assert.NotContains(t, text, "s", "no part of the secret remains at the cut: %s", text)
	assert.LessOrEqual(t, utf8.RuneCountInString(text), 301)
	assert.True(t, strings.HasSuffix(text, "…"))
}

// Encodings in each other multiply the forms in which a text is searched. Without a bound, the search for one secret in
// the last of these texts takes seconds of the processor.
func TestRedact_EncodingsMultiply_TextIsHidden(t *testing.T) {
	fill := func(unit string, size int) string { return strings.Repeat(unit, size/len(unit)+1)[:size] }
	base64Of := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	const unit = `%2525252525252541+=3D41&amp;amp;amp;amp;#65;\\\\\\\\u0041`
	for _, text := range []string{
		fill(unit, 400) + base64Of(fill(unit, 2700)), fill(unit, 400) + hex.EncodeToString([]byte(fill(unit, 1800))),
		fill(unit, 200) + base64Of(fill(unit, 200)+base64Of(fill(unit, 1900))),
	} {
		require.Equal(t, "[redacted]", httpclient.Redact(text, "correct-horse-battery"))
	}
}

// A server chooses the length of a token, which is a secret of later requests.
func TestRedact_HugeSecret_TextIsHidden(t *testing.T) {
	require.Equal(t, "[redacted]", httpclient.Redact("the token a is wrong", strings.Repeat("a%25b", 1<<18)))
	require.Equal(t, "the name a is wrong", httpclient.Redact("the name a is wrong", strings.Repeat("b", 16<<10)))
}

// A short secret is not shown by its parts: these occur by chance. A long one is not shown by more than a short part.
func TestRedact_PartOfASecret_IsReplacedFromItsLength(t *testing.T) {
	for _, test := range []struct{ text, secret, want string }{
		{"abcde", "abcdef", "abcde"},
		{"abcdef", "abcdef", "[redacted]"},
		{"it is abc", "abc", "it is [redacted]"},
		{"it is abcdefg", "abcdefghijkl", "it is abcdefg"},
		{"it is abcdefgh", "abcdefghijkl", "it is [redacted]"},
		{"it is efghijkl", "abcdefghijkl", "it is [redacted]"},
		{"it is abcdef", "abcdefghi", "it is [redacted]"},
		{"it is abcde", "abcdefghi", "it is abcde"},
	} {
		assert.Equal(t, test.want, httpclient.Redact(test.text, test.secret), "%s in %s", test.secret, test.text)
	}
}

// Each character of each alphabet occurs in the encoded forms of these secrets.
func TestRedact_EveryEncodedCharacter_IsRecognized(t *testing.T) {
	const characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789?~>:"
	random := rand.New(rand.NewPCG(1, 2))
	seen := make(map[rune]bool)
	for range 500 {
		secret := make([]byte, 6)
		for i := range secret {
			secret[i] = characters[random.IntN(len(characters))]
		}
		for _, encoded := range []string{
			base64.StdEncoding.EncodeToString(secret), base64.URLEncoding.EncodeToString(secret),
			hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		} {
			assert.Equal(t, "got [redacted].", httpclient.Redact("got "+encoded+".", string(secret)), "%s as %s", secret, encoded)
			for _, character := range encoded {
				seen[character] = true
			}
		}
	}
	assert.Len(t, seen, 66, "letters, digits, and the four other characters of base64")
}

func TestRedact_ShortSecretInBase64_IsReplaced(t *testing.T) {
	text := httpclient.Redact("got "+base64.StdEncoding.EncodeToString([]byte("xxxabcdxxx")), "abcd")
	assert.Contains(t, text, "[redacted]")
}

func TestRedact_WideCharacters_AreReplaced(t *testing.T) {
	assert.Equal(t, "got [redacted]", httpclient.Redact("got ！ａ～ｂ", "!a~b"))
}
