package httpclient

import (
	"bytes"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maxPasses bounds how often a text is unescaped: a log line in a JSON text in a JSON text takes three.
	maxPasses = 6

	// maxDecodings bounds how many encodings of bytes are removed one after the other, such as base64 of base64.
	maxDecodings = 2

	// maxViewBytes bounds the size of all views of one text. Encodings in each other multiply them. A text of
	// [maxRedactBytes] that no server has made for this purpose has a quarter of it.
	maxViewBytes = 1 << 20

	// minEncoded is the length of the shortest text that is decoded. Shorter ones occur by chance.
	minEncoded = 8
)

// view is a text in another form. Byte i was made from the bytes from[i] up to to[i] of the original text.
type view struct {
	text     []byte
	from, to []int
	// decoded is true after an encoding of bytes, such as base64, was removed. Then most of the text is noise.
	decoded bool
}

// newView returns the text itself.
func newView(text string) view {
	var v view
	for position, r := range text {
		v.append([]byte(string(r)), position, position+utf8.RuneLen(r))
	}
	return v
}

// append adds bytes that come from one part of the original text.
func (v *view) append(text []byte, from, to int) {
	for _, b := range text {
		v.text = append(v.text, b)
		v.from = append(v.from, from)
		v.to = append(v.to, to)
	}
}

// appendPart adds a part of another view.
func (v *view) appendPart(other view, from, to int) {
	v.text = append(v.text, other.text[from:to]...)
	v.from = append(v.from, other.from[from:to]...)
	v.to = append(v.to, other.to[from:to]...)
}

// eachView passes the forms in which a text is compared with secrets, all without white space, characters that are not
// printable, and case:
//
//   - the text itself;
//   - the text unescaped, as often as that changes it: JSON, JavaScript, C, URL and form escapes, HTML entities and
//     tags, and quoted-printable;
//   - what base64 and hexadecimal texts within these contain, at each offset. UTF-16 becomes the text itself, because
//     the zero bytes are not printable.
//
// complete is false if the views have more than maxViewBytes. Then some are missing. Few views are in memory at the same
// time: each byte of one takes 17.
func eachView(text string, compare func(view)) (complete bool) {
	left := maxViewBytes
	var visit func(encoded view, depth int) bool
	visit = func(encoded view, depth int) bool {
		for _, unescaped := range unescapedViews(encoded) {
			if left -= len(unescaped.text); left < 0 {
				return false
			}
			compare(unescaped.stripped(true))
			if depth == maxDecodings {
				continue
			}
			for _, decoded := range unescaped.stripped(false).decodings() {
				if !visit(decoded, depth+1) {
					return false
				}
			}
		}
		return true
	}
	return visit(newView(text), 0)
}

// unescapedViews returns a text and what is left of it after each removal of escapes.
func unescapedViews(original view) []view {
	var views []view
	for i, start := range []view{original, original.plusAsSpace(), original.unescaped(quotedPrintable)} {
		if i > 0 && bytes.Equal(start.text, original.text) {
			continue
		}
		views = append(views, start)
		for range maxPasses {
			next := start.unescaped(escapes)
			if bytes.Equal(next.text, start.text) {
				break
			}
			views = append(views, next)
			start = next
		}
	}
	return views
}

// plusAsSpace returns the text as a form parameter, in which a plus is a space.
func (v view) plusAsSpace() view {
	v.text = []byte(strings.ReplaceAll(string(v.text), "+", " "))
	return v
}

// escape is one way to write a character: a pattern whose last group the function turns into text.
type escape struct {
	pattern string
	value   func(group string) string
}

var escapes = newEscapes([]escape{
	{`\\+u\{([0-9A-Fa-f]{1,6})\}`, codePoint(16)},
	{`(?:\\+|%)u([0-9A-Fa-f]{4})`, codePoint(16)},
	{`\\+U([0-9A-Fa-f]{8})`, codePoint(16)},
	{`(?:\\+x|%)([0-9A-Fa-f]{2})`, rawByte(16)},
	{`\\+([0-3][0-7]{2})`, rawByte(8)},
	{`\\+([nrtbfv0])`, func(string) string { return " " }},
	{`\\+([0-9A-Fa-f]{2,6}) `, codePoint(16)}, // CSS
	{`\\+((?s:.))`, func(group string) string { return group }},
	{`&#[xX]([0-9A-Fa-f]{1,6});?`, codePoint(16)},
	{`&#([0-9]{1,7});?`, codePoint(10)},
	{`&([A-Za-z]{2,8});`, func(group string) string { return html.UnescapeString("&" + group + ";") }},
	{`</?([A-Za-z][a-z0-9]{0,9})(?: ?/)?>`, func(string) string { return "" }},
})

var quotedPrintable = newEscapes([]escape{
	{`=[ \t]*(\r?\n)`, func(string) string { return "" }},
	{`=([0-9A-Fa-f]{2})`, rawByte(16)},
})

// escapeSet is several escapes in one pattern.
type escapeSet struct {
	pattern *regexp.Regexp
	values  []func(group string) string
}

func newEscapes(escapes []escape) escapeSet {
	var set escapeSet
	patterns := make([]string, 0, len(escapes))
	for _, e := range escapes {
		patterns = append(patterns, e.pattern)
		set.values = append(set.values, e.value)
	}
	set.pattern = regexp.MustCompile(strings.Join(patterns, "|"))
	return set
}

// codePoint returns the character with a number in the given base.
func codePoint(base int) func(string) string {
	return func(group string) string {
		number, err := strconv.ParseUint(group, base, 32)
		if err != nil || number > unicode.MaxRune {
			return ""
		}
		return string(rune(number))
	}
}

// rawByte returns the byte with a number in the given base. It may be a part of a character.
func rawByte(base int) func(string) string {
	return func(group string) string {
		number, err := strconv.ParseUint(group, base, 8)
		if err != nil {
			return ""
		}
		return string([]byte{byte(number)})
	}
}

// unescaped removes one level of escapes.
func (v view) unescaped(set escapeSet) view {
	matches := set.pattern.FindAllSubmatchIndex(v.text, -1)
	if len(matches) == 0 {
		return v
	}
	result := view{decoded: v.decoded}
	end := 0
	for _, match := range matches {
		result.appendPart(v, end, match[0])
		end = match[1]
		for i, value := range set.values {
			if from, to := match[2*i+2], match[2*i+3]; from >= 0 {
				result.append([]byte(value(string(v.text[from:to]))), v.from[match[0]], v.to[end-1])
				break
			}
		}
	}
	result.appendPart(v, end, len(v.text))
	return result
}

// stripped removes white space and what is not printable. fold also removes the difference between upper and lower
// case, and between narrow and wide characters.
func (v view) stripped(fold bool) view {
	result := view{decoded: v.decoded}
	for i := 0; i < len(v.text); {
		r, size := utf8.DecodeRune(v.text[i:])
		from, to := v.from[i], v.to[i+size-1]
		switch {
		case r == utf8.RuneError && size == 1:
			if !v.decoded { // in a decoded text, it is noise
				result.append(v.text[i:i+1], from, to)
			}
		case unicode.IsSpace(r) || !unicode.IsPrint(r):
		case fold:
			if r >= '！' && r <= '～' {
				r -= '！' - '!'
			}
			result.append([]byte(string(unicode.ToLower(r))), from, to)
		default:
			result.append(v.text[i:i+size], from, to)
		}
		i += size
	}
	return result
}
