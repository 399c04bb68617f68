package providertest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
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

// again encodes with one function several times.
func again(times int, encode func(string) string) func(string) string {
	return func(text string) string {
		for range times {
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

// Encodings are the forms, by name, in which an answer may quote a secret of printable ASCII characters.
var Encodings = map[string]func(secret string) string{
	"itself":                        strings.Clone,
	"JSON":                          inJSON,
	"JSON in JSON":                  again(2, inJSON),
	"JSON in JSON in JSON":          again(3, inJSON),
	"JSON, each character":          each(`\u%04x`),
	"JSON, each character, twice":   each(`\\u%04X`),
	"JSON, slash and equals sign":   strings.NewReplacer("=", `\u003d`, "/", `\/`, "+", `\u002b`).Replace,
	"JavaScript, hexadecimal":       each(`\x%02x`),
	"JavaScript, code points":       each(`\u{%x}`),
	"JavaScript, escape()":          each(`%%u%04X`),
	"C, octal":                      each(`\%03o`),
	"Python, wide":                  each(`\U%08x`),
	"CSS":                           each(`\%x `),
	"URL, query":                    url.QueryEscape,
	"URL, path":                     url.PathEscape,
	"URL, each character":           each(`%%%02x`),
	"URL, twice":                    again(2, url.QueryEscape),
	"URL, some characters":          strings.NewReplacer("=", "%3D", "@", "%40").Replace,
	"HTML, named":                   strings.NewReplacer("&", "&amp;", "<", "&lt;", "=", "&equals;", "/", "&sol;").Replace,
	"HTML, decimal":                 each(`&#%d;`),
	"HTML, padded":                  each(`&#%05d;`),
	"HTML, hexadecimal":             each(`&#x%x;`),
	"HTML, without semicolons":      strings.NewReplacer("=", "&#61", "&", "&#38").Replace,
	"HTML, line breaks":             wrapped(5, "<br/>"),
	"quoted-printable":              each(`=%02X`),
	"quoted-printable, soft breaks": wrapped(7, "=\r\n"),
	"base64":                        inBase64,
	"base64 after a name":           func(s string) string { return inBase64("admin:" + s) },
	"base64 within a text":          func(s string) string { return inBase64(`{"client_secret":"` + s + `","x":1}`) },
	"base64, URL alphabet":          func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("x" + s)) },
	"base64 twice":                  again(2, inBase64),
	"base64 in lines":               chain(inBase64, wrapped(8, "\n")),
	"base64 in a URL":               chain(inBase64, url.QueryEscape),
	"base64, cut":                   func(s string) string { return inBase64("ab" + s)[:len(s)] },
	"base64 of UTF-16":              chain(inUTF16, inBase64),
	"base64 of URL":                 chain(url.QueryEscape, inBase64),
	"hexadecimal":                   func(s string) string { return hex.EncodeToString([]byte(s)) },
	"hexadecimal, upper case":       func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
	"hexadecimal, colons":           each(`%02x:`),
	"hexadecimal, spaces":           each(`%02x `),
	"hexadecimal, array":            each(`0x%02x, `),
	"base64 of hexadecimal":         func(s string) string { return inBase64(hex.EncodeToString([]byte(s))) },
	"UTF-16":                        inUTF16,
	"wide characters":               strings.NewReplacer(wide()...).Replace,
	"zero-width spaces":             wrapped(1, "\u200b"),
	"soft hyphens":                  wrapped(3, "\u00ad"),
	"line breaks":                   wrapped(10, "\n"),
	"line breaks and indentation":   wrapped(4, "\r\n\t  "),
	"spaces":                        wrapped(1, " "),
	"upper case":                    strings.ToUpper,
	"cut at the end":                func(s string) string { return s[:len(s)*2/3] },
	"cut at the beginning":          func(s string) string { return s[len(s)/3:] },
	"cut in the middle":             func(s string) string { return s[:9] + "..." + s[len(s)-9:] },
	"escaped and cut":               func(s string) string { return each(`\u%04x`)(s)[:70] },
	"zero bytes":                    wrapped(2, "\x00"),
	"terminal colors":               wrapped(12, "\x1b"),
}

// wide returns pairs of each printable ASCII character and its wide form.
func wide() []string {
	var pairs []string
	for r := rune('!'); r <= '~'; r++ {
		pairs = append(pairs, string(r), string(r+'！'-'!'))
	}
	return pairs
}
