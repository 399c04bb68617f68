package httpclient_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// each writes every character of a text in a format.
func each(format string) func(string) string {
	return func(text string) string {
		var out strings.Builder
		for _, r := range text {
			fmt.Fprintf(&out, format, r)
		}
		return out.String()
	}
}

// chain encodes with the first function, then with the next.
func chain(encodings ...func(string) string) func(string) string {
	return func(text string) string {
		for _, encode := range encodings {
			text = encode(text)
		}
		return text
	}
}

func inJSON(text string) string {
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

func inBase64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func inUTF16(text string) string { return strings.Join(strings.Split(text, ""), "\x00") + "\x00" }

// wrapped breaks a text after every n characters.
func wrapped(n int, separator string) func(string) string {
	return func(text string) string {
		var lines []string
		for len(text) > n {
			lines, text = append(lines, text[:n]), text[n:]
		}
		return strings.Join(append(lines, text), separator)
	}
}

// encodings are the forms in which an answer may quote a secret of ASCII characters.
var encodings = map[string]func(string) string{
	"itself":                          strings.Clone,
	"JSON":                            inJSON,
	"JSON in JSON":                    chain(inJSON, inJSON),
	"JSON in JSON in JSON":            chain(inJSON, inJSON, inJSON),
	"JSON, each character":            each(`\u%04x`),
	"JSON, each character, twice":     each(`\\u%04X`),
	"JSON, slash and equals sign":     strings.NewReplacer("=", `\u003d`, "/", `\/`, "+", `\u002b`).Replace,
	"JavaScript, hexadecimal":         each(`\x%02x`),
	"JavaScript, code points":         each(`\u{%x}`),
	"JavaScript, escape()":            each(`%%u%04X`),
	"C, octal":                        each(`\%03o`),
	"Python, wide":                    each(`\U%08x`),
	"CSS":                             each(`\%x `),
	"URL, query":                      url.QueryEscape,
	"URL, path":                       url.PathEscape,
	"URL, each character":             each(`%%%02x`),
	"URL, twice":                      chain(url.QueryEscape, url.QueryEscape),
	"URL, some characters":            strings.NewReplacer("=", "%3D", "@", "%40").Replace,
	"HTML, named":                     strings.NewReplacer("&", "&amp;", "<", "&lt;", "=", "&equals;", "/", "&sol;").Replace,
	"HTML, decimal":                   each(`&#%d;`),
	"HTML, padded":                    each(`&#%05d;`),
	"HTML, hexadecimal":               each(`&#x%x;`),
	"HTML, without semicolons":        strings.NewReplacer("=", "&#61", "&", "&#38").Replace,
	"HTML, line breaks":               wrapped(5, "<br/>"),
	"quoted-printable":                each(`=%02X`),
	"quoted-printable, soft breaks":   wrapped(7, "=\r\n"),
	"base64":                          inBase64,
	"base64 after a name":             func(s string) string { return inBase64("admin:" + s) },
	"base64 within a text":            func(s string) string { return inBase64(`{"client_secret":"` + s + `","x":1}`) },
	"base64, URL alphabet":            func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("x" + s)) },
	"base64 twice":                    chain(inBase64, inBase64),
	"base64 in lines":                 chain(inBase64, wrapped(8, "\n")),
	"base64 in a URL":                 chain(inBase64, url.QueryEscape),
	"base64, cut":                     func(s string) string { return inBase64("ab" + s)[:len(s)] },
	"base64 of UTF-16":                chain(inUTF16, inBase64),
	"base64 of URL":                   chain(url.QueryEscape, inBase64),
	"hexadecimal":                     func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hexadecimal, upper case":         func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"hexadecimal, colons":             each(`%02x:`),
	"hexadecimal, spaces":             each(`%02x `),
	"hexadecimal, array":              each(`0x%02x, `),
	"base64 of hexadecimal":           func(s string) string { return inBase64(hex.EncodeToString([]byte(s))) },
	"UTF-16":                          inUTF16,
	"wide characters":                 strings.NewReplacer(wide()...).Replace,
	"zero-width spaces":               wrapped(1, "\u200b"),
	"soft hyphens":                    wrapped(3, "\u00ad"),
	"line breaks":                     wrapped(10, "\n"),
	"line breaks and indentation":     wrapped(4, "\r\n\t  "),
	"spaces":                          wrapped(1, " "),
	"upper case":                      strings.ToUpper,
	"cut at the end":                  func(s string) string { return s[:len(s)*2/3] },
	"cut at the beginning":            func(s string) string { return s[len(s)/3:] },
	"cut in the middle":               func(s string) string { return s[:9] + "..." + s[len(s)-9:] },
	"escaped and cut":                 func(s string) string { return each(`\u%04x`)(s)[:70] },
	"zero bytes":                      wrapped(2, "\x00"),
	"terminal colors":                 wrapped(12, "\x1b"),
	"backslash before each character": each(`\%c`),
}

// wide returns pairs of each printable ASCII character and its wide form.
func wide() []string {
	var pairs []string
	for r := rune('!'); r <= '~'; r++ {
		pairs = append(pairs, string(r), string(r+'！'-'!'))
	}
	return pairs
}

// requireHidden requires that a text shows no part of a secret that is longer than a few characters, in any case.
func requireHidden(t *testing.T, shown, secret string) {
	t.Helper()
	plain := strings.ToLower(strings.Join(strings.Fields(shown), ""))
	lower := strings.ToLower(secret)
	for i := 0; i+8 <= len(lower); i++ {
		assert.NotContains(t, plain, lower[i:i+8], "%s", shown)
	}
}

func TestRedact_AnyEncoding_IsReplaced(t *testing.T) {
	for _, secret := range []string{
		"2:bG9uZ/secret+KeyOfDeepSecurity==", "Tr0ub4dor&3horse<battery>staple", "Sup3r!Secret*Pass@word=/+0", "fQ8zL2mVt7yRb4Kc9WqN5uXe",
		"%41pha%20br=3Davo&amp;ch\\u0041rlie",
	} {
		for name, encode := range encodings {
			t.Run(name, func(t *testing.T) {
				encoded := encode(secret)
				if name == "backslash before each character" {
					encoded = strings.NewReplacer(`\n`, "n", `\r`, "r", `\t`, "t", `\b`, "b", `\f`, "f", `\v`, "v", `\u`, "u", `\x`, "x", `\U`, "U", `\0`, "0", `\2`, "2",
						`\3`, "3", `\1`, "1", `\4`, "4").Replace(encoded)
				}
				shown := httpclient.Redact("the key "+encoded+", it is wrong", secret)
				require.Contains(t, shown, "[redacted]")
				requireHidden(t, shown, secret)
				assert.NotContains(t, shown, encoded)
				assert.True(t, strings.HasPrefix(shown, "the key "), shown)
				assert.True(t, strings.HasSuffix(shown, " it is wrong"), shown)
				// What remains of an encoded secret decodes to less than a run of it.
				middle := strings.TrimSuffix(strings.TrimPrefix(shown, "the key "), ", it is wrong")
				assert.Less(t, len(strings.ReplaceAll(middle, "[redacted]", "")), len(encoded)*2/3, "%s", shown)
			})
		}
	}
}

func TestRedact_ShortSecret_IsReplacedAsAWhole(t *testing.T) {
	assert.Equal(t, "the PIN [redacted] is wrong", httpclient.Redact("the PIN 90210 is wrong", "90210"))
	assert.Equal(t, "the PIN 9021 is wrong", httpclient.Redact("the PIN 9021 is wrong", "90210"))
}

func TestRedact_UnknownSecretByItsName_IsReplaced(t *testing.T) {
	for _, text := range []string{
		`{\"access_token\":\"abcdefgh\",\"message\":\"no\"}`, "grant refused: client_secret=abcdefgh&x=1", "password=abcdefgh",
	} {
		shown := httpclient.Redact(text)
		assert.NotContains(t, shown, "abcdefgh")
		assert.Contains(t, shown, "[redacted]")
	}
}

func TestRedact_EndlessText_IsBounded(t *testing.T) {
	const secret = "correct-horse-battery"
	for _, unit := range []string{"a", "%41", `\u0041`, "YWFh", "61", "&amp;", `\`, "=", "\x00", "é"} {
		shown := httpclient.Redact(strings.Repeat(unit, 1<<20/len(unit)), secret)
		assert.LessOrEqual(t, len([]rune(shown)), 301)
	}
}
