package emulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SwitchClockSkew is the switch that every vendor has: a duration added to the vendor's clock, so that its
// Date header and its absolute times are wrong together.
const SwitchClockSkew = "clock_skew"

// Kind says how the value of a [Switch] is written.
type Kind string

const (
	// KindChoice is one of the values that the switch lists.
	KindChoice Kind = "choice"
	// KindInteger is a decimal number that is not negative.
	KindInteger Kind = "integer"
	// KindDuration is a duration as [time.ParseDuration] reads it.
	KindDuration Kind = "duration"
)

// The values of a yes-or-no switch.
const (
	Yes = "yes"
	No  = "no"
)

// Switch is one choice of the vendor's that its documents leave open, or that differs between releases. Its
// default is the strict reading: the answer that is hardest on a careless client.
type Switch struct {
	Name        string   `json:"name"`
	Kind        Kind     `json:"kind"`
	Default     string   `json:"default"`
	Allowed     []string `json:"allowed,omitempty"`
	Description string   `json:"meaning"`
}

// Choice describes a switch between values, of which the first is the default.
func Choice(name, description string, values ...string) Switch {
	return Switch{Name: name, Kind: KindChoice, Default: values[0], Allowed: values, Description: description}
}

// Integer describes a switch that holds a number.
func Integer(name, description string, value int) Switch {
	return Switch{Name: name, Kind: KindInteger, Default: strconv.Itoa(value), Description: description}
}

// Duration describes a switch that holds a length of time.
func Duration(name, description string, value time.Duration) Switch {
	return Switch{Name: name, Kind: KindDuration, Default: value.String(), Description: description}
}

// SwitchValue is a switch as it stands at one vendor.
type SwitchValue struct {
	Vendor string `json:"vendor"`
	Switch
	Value string `json:"value"`
}

// check tells whether value may be given to the switch.
func (s Switch) check(value string) error {
	switch s.Kind {
	case KindChoice:
		if !slices.Contains(s.Allowed, value) {
			return fmt.Errorf("value %q is none of %s", value, strings.Join(s.Allowed, ", "))
		}
	case KindInteger:
		if n, err := strconv.Atoi(value); err != nil || n < 0 {
			return fmt.Errorf("value %q is not a whole number from 0", value)
		}
	case KindDuration:
		if _, err := time.ParseDuration(value); err != nil {
			return fmt.Errorf("value is no duration: %w", err)
		}
	default:
		return fmt.Errorf("kind %q is unknown", s.Kind)
	}
	return nil
}
