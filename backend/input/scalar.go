package input

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
)

const (
	wantsText    = "must be text"
	wantsBool    = "must be true or false"
	wantsInt     = "must be a whole number such as 10, without a fraction, an exponent or leading zeros"
	wantsSeconds = `must be whole seconds: a number such as 90, or text such as "90s", "1h30m" or "1d"`

	// maxExactFloat is the largest number up to which every whole number is a float64.
	maxExactFloat = 1 << 53
	day           = 24 * time.Hour
)

// parseText accepts text only. A number is rejected: the text of 1.50 depends on the program that wrote the JSON. An empty
// text is rejected where it could only mean the default.
func parseText(schema *framework.FieldSchema, value any) (any, string) {
	text, ok := value.(string)
	if !ok {
		return nil, wantsText
	}
	if byDefault, _ := schema.Default.(string); text == "" && byDefault != "" {
		return nil, fmt.Sprintf("must not be empty; its default is %q", byDefault)
	}
	if len(schema.AllowedValues) == 0 || slices.Contains(schema.AllowedValues, any(text)) {
		return text, ""
	}
	quoted := make([]string, 0, len(schema.AllowedValues))
	for _, allowed := range schema.AllowedValues {
		quoted = append(quoted, fmt.Sprintf("%q", allowed))
	}
	return nil, "must be one of " + strings.Join(quoted, ", ")
}

// parseBool also accepts the texts true, false, 1 and 0: the CLI sends text.
func parseBool(value any) (any, string) {
	switch value {
	case true, "true", "1":
		return true, ""
	case false, "false", "0":
		return false, ""
	default:
		return nil, wantsBool
	}
}

// parseInt also accepts the digits of a number as text: the CLI sends text.
func parseInt(value any) (any, string) {
	if number, ok := wholeNumber(value); ok {
		return number, ""
	}
	return nil, wantsInt
}

// parseSeconds accepts the forms of a duration that Vault knows, if the duration is a whole number of seconds.
func parseSeconds(value any, signed bool) (any, string) {
	seconds, ok := wholeNumber(value)
	if text, isText := value.(string); isText && !ok {
		seconds, ok = secondsOf(text)
	}
	limit := int(math.MaxInt64 / time.Second) // what a time.Duration can be
	switch {
	case !ok || seconds > limit || seconds < -limit:
		return nil, wantsSeconds
	case seconds < 0 && !signed:
		return nil, "must not be negative"
	}
	return seconds, ""
}

// secondsOf returns the seconds of a duration with units. A decimal point is rejected even if the result is a whole
// number of seconds: time.ParseDuration drops what is less than a nanosecond.
func secondsOf(text string) (int, bool) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		number, ok := wholeNumber(days)
		most := int(math.MaxInt64 / day)
		return number * int(day/time.Second), ok && number <= most && number >= -most
	}
	duration, err := time.ParseDuration(text)
	if err != nil || strings.Contains(text, ".") || duration%time.Second != 0 {
		return 0, false
	}
	return int(duration / time.Second), true
}

// wholeNumber returns a number that is written in decimal digits, or a number of a Go program.
func wholeNumber(value any) (int, bool) {
	switch number := value.(type) {
	case int:
		return number, true
	case int64:
		return int(number), int64(int(number)) == number
	case float64:
		return int(number), number == math.Trunc(number) && math.Abs(number) <= maxExactFloat
	case json.Number:
		return digits(number.String())
	case string:
		return digits(number)
	default:
		return 0, false
	}
}

// digits returns the number that a text is the only decimal form of: "010", "+1" and "-0" are rejected.
func digits(text string) (int, bool) {
	number, err := strconv.Atoi(text)
	return number, err == nil && strconv.Itoa(number) == text
}
