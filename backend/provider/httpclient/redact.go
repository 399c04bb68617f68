package httpclient

import (
	"regexp"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	redacted    = "[redacted]"
	htmlSummary = "an HTML page"

	// maxTextRunes is how many characters of a vendor's text are shown.
	maxTextRunes = provider.MaxText

	// maxRedactBytes is how much of a vendor's text is searched for secrets. The rest is dropped.
	maxRedactBytes = 4 << 10

	// maxSecretBytes is the length of the longest secret whose parts are searched.
	maxSecretBytes = 16 << 10
)

var (
	// A JSON Web Token begins with the base64 of `{"`.
	jwtPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}(\.[A-Za-z0-9_-]*){1,4}`)
	// The value of an Authorization header.
	authorizationPattern = regexp.MustCompile(`(?i)\b(bearer|basic|token)([ =:]+)[A-Za-z0-9._~+/=-]{12,}`)
	// A JSON member with a secret, by its name; also in a JSON text within a JSON text.
	memberPattern = regexp.MustCompile(`(?i)(\\*"[a-z0-9_-]*(?:token|passw|secret|api_?key|session)[a-z0-9_-]*\\*"\s*:\s*\\*)"(?:[^"\\]|\\.)*"?`)
	// A form parameter with a secret, by its name.
	parameterPattern = regexp.MustCompile(`(?i)\b((?:[a-z0-9]+_)*(?:token|password|secret|api_?key)=)[^&\s"';,]{6,}`)
)

// Redact prepares a text from outside for logs and errors. It replaces by "[redacted]" each part of the text that has
// a secret, or several characters in a row of one, in any usual encoding: see [eachView]. It also replaces
// everything that looks like a bearer token or a JSON Web Token. It replaces an HTML page by "an HTML page", removes
// control characters, and cuts the text after [provider.MaxText] characters. Empty secrets are ignored.
//
// A text is replaced as a whole if it has too many forms to be searched for secrets, or if a secret has more than 16 KiB:
// the server chooses the text, and its search must not use the processor of the Vault server for seconds.
func Redact(text string, secrets ...string) string {
	if isHTML(text) {
		return htmlSummary
	}
	text = text[:min(len(text), maxRedactBytes)]
	text = strings.ToValidUTF8(text, "")
	// Secrets first: after cutting or cleaning, the remaining part of a secret might not match.
	text = hideSecrets(text, secrets)
	text = jwtPattern.ReplaceAllString(text, redacted)
	text = authorizationPattern.ReplaceAllString(text, "$1$2"+redacted)
	text = memberPattern.ReplaceAllString(text, `$1"`+redacted+`"`)
	text = parameterPattern.ReplaceAllString(text, "$1"+redacted)
	return provider.PrintableText(text, maxTextRunes)
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

// hideSecrets replaces the parts of the text that show a secret. It compares canonical forms: an answer may quote a
// request in another encoding, cut it, or break its lines.
func hideSecrets(text string, secrets []string) string {
	needles, ok := allNeedles(secrets)
	if !ok {
		return redacted
	}
	return hideNeedles(text, needles)
}

// allNeedles returns the needles of all secrets. ok is false if a secret is too long.
func allNeedles(secrets []string) (needles []needle, ok bool) {
	for _, secret := range secrets {
		if len(secret) > maxSecretBytes {
			return nil, false
		}
		needles = append(needles, needlesOf(secret)...)
	}
	return needles, true
}

// hideNeedles is hideSecrets for needles.
func hideNeedles(text string, needles []needle) string {
	if len(needles) == 0 {
		return text
	}
	hidden := make([]bool, len(text))
	complete := eachView(text, func(found view) {
		for _, needle := range needles {
			needle.hide(found, hidden)
		}
	})
	if !complete {
		return redacted
	}
	var shown strings.Builder
	for i := 0; i < len(text); {
		if !hidden[i] {
			shown.WriteByte(text[i])
			i++
			continue
		}
		shown.WriteString(redacted)
		for i < len(text) && hidden[i] {
			i++
		}
	}
	return shown.String()
}

const (
	// maxRun is the longest part of a secret that may be shown, plus one: from this length on, a part is hidden
	// wherever it appears.
	maxRun = 8

	// wholeSecret is the length up to which a secret is hidden as a whole only: its parts occur by chance.
	wholeSecret = 6

	// minDecodedRun is the shortest run that is searched in a decoded text. Shorter ones occur by chance.
	minDecodedRun = 4
)

// needle is a secret in a canonical form: its runs of one length.
type needle struct {
	size int
	runs map[string]struct{}
}

// needlesOf returns the needles of a secret. There are several if the secret itself looks like an escaped text.
func needlesOf(secret string) []needle {
	seen := make(map[string]bool)
	var needles []needle
	for _, escaped := range unescapedViews(newView(strings.ToValidUTF8(secret, ""))) {
		canonical := string(escaped.stripped(true).text)
		if canonical == "" || seen[canonical] {
			continue
		}
		seen[canonical] = true
		size := len(canonical)
		if size > wholeSecret {
			size = min(max(size*2/3, wholeSecret-1), maxRun)
		}
		runs := make(map[string]struct{})
		for i := 0; i+size <= len(canonical); i++ {
			runs[canonical[i:i+size]] = struct{}{}
		}
		needles = append(needles, needle{size: size, runs: runs})
	}
	return needles
}

// hide marks the parts of the original text from which a view has the secret.
func (n needle) hide(v view, hidden []bool) {
	if v.decoded && n.size < minDecodedRun {
		return
	}
	for i := 0; i+n.size <= len(v.text); i++ {
		if _, found := n.runs[string(v.text[i:i+n.size])]; !found {
			continue
		}
		for j := v.from[i]; j < v.to[i+n.size-1]; j++ {
			hidden[j] = true
		}
	}
}
