package httpclient

import "strings"

// ValidToken reports whether text can be sent as one word of an HTTP header's value: it has printable ASCII characters
// only, and no space. The empty text is valid. A driver checks the values of config fields and answers before it puts
// them into a header: a line break would make the request invalid, and an error of the HTTP library might quote it.
func ValidToken(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}
