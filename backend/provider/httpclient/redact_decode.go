package httpclient

import "bytes"

// alphabet is an encoding of bytes by characters of a few bits each.
type alphabet struct {
	// bits is how many bits a character has.
	bits int
	// group is after how many characters a character begins with a new byte.
	group int
	// value returns the bits of a character. ok is false for a character of no encoded text.
	value func(b byte) (value int, ok bool)
}

var (
	base64Alphabet = alphabet{bits: 6, group: 4, value: base64Value}
	hexAlphabet    = alphabet{bits: 4, group: 2, value: hexValue}
)

// base64Value reads a character of either base64 alphabet.
func base64Value(b byte) (value int, ok bool) {
	switch {
	case b >= 'A' && b <= 'Z':
		return int(b - 'A'), true
	case b >= 'a' && b <= 'z':
		return int(b-'a') + 26, true
	case b >= '0' && b <= '9':
		return int(b-'0') + 52, true
	case b == '+' || b == '-':
		return 62, true
	case b == '/' || b == '_':
		return 63, true
	}
	return 0, false
}

// hexValue reads a hexadecimal digit.
func hexValue(b byte) (value int, ok bool) {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0'), true
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10, true
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10, true
	}
	return 0, false
}

// decodings returns what the encoded parts of a text contain. The text is without white space, so an encoded part may
// begin after other characters of its alphabet: each offset within a group is tried.
func (v view) decodings() []view {
	var views []view
	for _, source := range []struct {
		alphabet alphabet
		text     view
	}{{base64Alphabet, v}, {hexAlphabet, v}, {hexAlphabet, v.withoutSeparators()}} {
		for offset := range source.alphabet.group {
			if decoded := source.text.decode(source.alphabet, offset); len(decoded.text) > 0 {
				views = append(views, decoded)
			}
		}
	}
	return views
}

// withoutSeparators removes what stands between the bytes of a hexadecimal dump. It is empty if there is nothing to
// remove.
func (v view) withoutSeparators() view {
	result := view{decoded: v.decoded}
	for i := 0; i < len(v.text); i++ {
		switch {
		case bytes.IndexByte([]byte(":,-[]"), v.text[i]) >= 0:
		case bytes.HasPrefix(v.text[i:], []byte("0x")):
			i++
		default:
			result.appendPart(v, i, i+1)
		}
	}
	if len(result.text) == len(v.text) {
		return view{}
	}
	return result
}

// decode decodes the runs of an alphabet's characters, beginning with the character at offset of each.
func (v view) decode(a alphabet, offset int) view {
	result := view{decoded: true}
	for start := 0; start < len(v.text); start++ {
		end := start
		for end < len(v.text) {
			if _, ok := a.value(v.text[end]); !ok {
				break
			}
			end++
		}
		if end-start >= minEncoded {
			v.decodeRun(a, start+offset, end, &result)
		}
		start = end
	}
	return result
}

// decodeRun decodes the characters from start up to end. Each byte comes from the characters that have its bits.
func (v view) decodeRun(a alphabet, start, end int, result *view) {
	bits, number, first := 0, 0, start
	for i := start; i < end; i++ {
		value, _ := a.value(v.text[i])
		if bits == 0 {
			first = i
		}
		number, bits = number<<a.bits|value, bits+a.bits
		if bits < 8 {
			continue
		}
		bits -= 8
		result.append([]byte{byte(number >> bits & 0xff)}, v.from[first], v.to[i])
		number, first = number&(1<<bits-1), i
	}
}
