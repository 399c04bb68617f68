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

	// maxTextRunes is how much of a vendor's text is passed on.
	maxTextRunes = 300

	// minBase64 is the shortest piece of base64 text that is looked for: shorter ones occur by chance.
	minBase64 = 8
)

var (
	// A JSON Web Token begins with the base64 of `{"`.
	jwtPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*){1,4}`)
	// The value of an Authorization header.
	authorizationPattern = regexp.MustCompile(`(?i)\b(bearer|basic|token)([ =:]+)[A-Za-z0-9._~+/=-]{12,}`)
	// A JSON member whose name says that it is a secret.
	memberPattern = regexp.MustCompile(`(?i)("[a-z0-9_-]*(?:token|passw|secret|api_?key|session)[a-z0-9_-]*"\s*:\s*)"(?:[^"\\]|\\.)*"?`)
)

// Redact makes a text that came from outside fit for logs and errors. It replaces each of secrets, also
// in its URL, JSON, hexadecimal and base64 forms, and whatever looks like a bearer token or a JSON Web
// Token, by "[redacted]"; reduces an HTML page to those words; drops control characters; and cuts the
// rest at 300 characters. Empty secrets are skipped.
func Redact(text string, secrets ...string) string {
	if isHTML(text) {
		return htmlSummary
	}
	text = strings.ToValidUTF8(text, "")
	// Secrets first: cutting or cleaning before could leave a piece of one that no longer matches.
	text = secretReplacer(secrets).Replace(text)
	text = jwtPattern.ReplaceAllString(text, redacted)
	text = authorizationPattern.ReplaceAllString(text, "$1$2"+redacted)
	text = memberPattern.ReplaceAllString(text, `$1"`+redacted+`"`)
	cleaned := printable(text)
	if cleaned != text {
		// Once more: a secret that was interspersed with what is dropped has become whole.
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
	// At one position the replacer takes the first form that matches, and the longest must win.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(forms))
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	return strings.NewReplacer(pairs...)
}

// secretForms lists how a secret can stand in an answer that echoes a request.
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

// base64Forms returns what of the secret is the same in any base64 text that contains it. The encoding
// works on groups of three bytes, so there is one form for each offset in a group; the characters at
// either end, which depend on the neighbours too, are left away.
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

// printable drops what could forge log lines or steer a terminal, and makes one line of many.
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
