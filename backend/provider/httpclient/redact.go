package httpclient

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const (
	redacted    = "[redacted]"
	htmlSummary = "an HTML page"

	// maxTextRunes is how many characters of a vendor's text are shown.
	maxTextRunes = 300

	// minBase64 is the length of the shortest base64 text that is redacted. Shorter ones occur by chance.
	minBase64 = 8
)

var (
	// A JSON Web Token begins with the base64 of `{"`.
	jwtPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*){1,4}`)
	// The value of an Authorization header.
	authorizationPattern = regexp.MustCompile(`(?i)\b(bearer|basic|token)([ =:]+)[A-Za-z0-9._~+/=-]{12,}`)
	// A JSON member with a secret, by its name.
	memberPattern = regexp.MustCompile(`(?i)("[a-z0-9_-]*(?:token|passw|secret|api_?key|session)[a-z0-9_-]*"\s*:\s*)"(?:[^"\\]|\\.)*"?`)
)

// Redact prepares a text from outside for logs and errors. It replaces by "[redacted]" each of secrets, also in its
// URL, JSON, hexadecimal and base64 forms, and everything that looks like a bearer token or a JSON Web Token. It
// replaces an HTML page by "an HTML page", removes control characters, and cuts the text after 300 characters. Empty
// secrets are ignored.
func Redact(text string, secrets ...string) string {
	if isHTML(text) {
		return htmlSummary
	}
	text = strings.ToValidUTF8(text, "")
	// Secrets first: after cutting or cleaning, the remaining part of a secret might not match.
	text = secretReplacer(secrets).Replace(text)
	text = jwtPattern.ReplaceAllString(text, redacted)
	text = authorizationPattern.ReplaceAllString(text, "$1$2"+redacted)
	text = memberPattern.ReplaceAllString(text, `$1"`+redacted+`"`)
	cleaned := printable(text)
	if cleaned != text {
		// Once more: a secret with removed characters between its parts is complete now.
		cleaned = secretReplacer(secrets).Replace(cleaned)
	}
	return truncate(cleaned)
}

func isHTML(text string) bool {
	start := strings.ToLower(strings.TrimSpace(text[:min(len(text), 512)]))
	start = strings.TrimPrefix(start, "\ufeff")
	for _, prefix := range []string{"<!doctype html", "<html", "<head", "<body", "<!--"} {
		if strings.HasPrefix(start, prefix) {
			return true
		}
	}
	return strings.HasPrefix(start, "<?xml") && strings.Contains(start, "<html")
}

func secretReplacer(secrets []string) *strings.Replacer {
	var forms []string
	for _, secret := range secrets {
		if secret != "" {
			forms = append(forms, secretForms(secret)...)
		}
	}
	// At each position the replacer uses the first form that matches. That must be the longest.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	return strings.NewReplacer(pairs...)
}

// secretForms returns the forms that a secret can have in an answer that echoes a request.
func secretForms(secret string) []string {
	query, path := url.QueryEscape(secret), url.PathEscape(secret)
	forms := []string{secret, query, path, lowerEscapes(query), lowerEscapes(path)}
	for _, escapeHTML := range []bool{true, false} {
		var quoted bytes.Buffer
		encoder := json.NewEncoder(&quoted)
		encoder.SetEscapeHTML(escapeHTML)
		if encoder.Encode(secret) == nil {
			forms = append(forms, strings.Trim(strings.TrimSpace(quoted.String()), `"`))
		}
	}
	if len(secret) >= minBase64/2 {
		forms = append(forms, hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))))
	}
	return append(forms, base64Forms(secret)...)
}

// base64Forms returns the parts of base64 texts that the secret alone determines. Base64 encodes groups of three
// bytes, so there is one form for each offset in a group. The characters at both ends depend on the neighboring bytes
// too and are left out.
func base64Forms(secret string) []string {
	var forms []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			encoded := encoding.EncodeToString(append(make([]byte, offset), secret...))
			start := []int{0, 2, 3}[offset]
			end := len(encoded)
			if (offset+len(secret))%3 != 0 {
				end--
			}
			if end-start >= minBase64 {
				forms = append(forms, encoded[start:end])
			}
		}
	}
	return forms
}

var escapePattern = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerEscapes(text string) string {
	return escapePattern.ReplaceAllStringFunc(text, strings.ToLower)
}

// printable removes characters that could forge log lines or control a terminal, and joins the lines.
func printable(text string) string {
	cleaned := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, text)
	return strings.Join(strings.Fields(cleaned), " ")
}

func truncate(text string) string {
	runes := 0
	for position := range text {
		if runes == maxTextRunes {
			return text[:position] + "…"
		}
		runes++
	}
	return text
}
