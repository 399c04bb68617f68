package provider

import (
	"strings"
	"unicode"
)

// MaxText is how many characters of a text that a vendor chooses are shown: of an error, an identity, a token type or a
// warning.
const MaxText = 300

// PrintableText returns a text that a vendor has chosen without the characters that could forge a line of a log or
// control a terminal. It joins the lines, and cuts the text after a number of characters.
func PrintableText(text string, maxRunes int) string {
	cleaned := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, strings.ToValidUTF8(text, ""))
	cleaned = strings.Join(strings.Fields(cleaned), " ")
	runes := 0
	for position := range cleaned {
		if runes == maxRunes {
			return cleaned[:position] + "…"
		}
		runes++
	}
	return cleaned
}

const (
	// maxWarning is how many characters of a warning are shown: the driver's own words, and one text of the vendor.
	maxWarning = 1000

	// maxValue is how many characters of a further value are passed on. Some are secrets, such as a session.
	maxValue = 8 << 10
)

// Clean makes every text that the vendor has chosen printable and bounds its length. The engine calls it for each
// result.
func (r *CheckResult) Clean() {
	r.Identity = PrintableText(r.Identity, MaxText)
	r.Details, _ = cleanValue(r.Details, MaxText).(map[string]any)
	cleanWarnings(r.Warnings)
	if r.Issued != nil {
		r.Issued.Clean()
	}
}

// Clean makes every text that the vendor has chosen printable and bounds its length, except for the token: that is
// passed on as it is. The engine calls it for each result.
func (c *Credential) Clean() {
	c.TokenType = PrintableText(c.TokenType, MaxText)
	c.Data, _ = cleanValue(c.Data, maxValue).(map[string]any)
	cleanWarnings(c.Warnings)
}

func cleanWarnings(warnings []string) {
	for i := range warnings {
		warnings[i] = PrintableText(warnings[i], maxWarning)
	}
}

// cleanValue cleans the texts in a value of a JSON type.
func cleanValue(value any, maxRunes int) any {
	switch typed := value.(type) {
	case string:
		return PrintableText(typed, maxRunes)
	case []string:
		cleaned := make([]string, len(typed))
		for i := range typed {
			cleaned[i] = PrintableText(typed[i], maxRunes)
		}
		return cleaned
	case []any:
		cleaned := make([]any, len(typed))
		for i := range typed {
			cleaned[i] = cleanValue(typed[i], maxRunes)
		}
		return cleaned
	case map[string]any:
		if typed == nil {
			return map[string]any(nil)
		}
		cleaned := make(map[string]any, len(typed))
		for name, member := range typed {
			cleaned[PrintableText(name, MaxText)] = cleanValue(member, maxRunes)
		}
		return cleaned
	}
	return value
}
