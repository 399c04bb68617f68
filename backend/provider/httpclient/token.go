package httpclient

import "strings"

// ValidToken reports whether text can be sent as one word of an HTTP header's value: it holds printable ASCII
// characters only, and no space. The empty text is valid. A driver checks with it what it takes from a field or from
// an answer before it puts that into a header, since the HTTP library would otherwise quote the value in its error.
func ValidToken(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
