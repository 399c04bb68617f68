package emulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SwitchClockSkew is a switch that every vendor has: a duration that is added to the vendor's clock, so that
// its Date header and its absolute times are wrong by the same amount.
const SwitchClockSkew = "clock_skew"

// Kind is the form of a [Switch]'s value.
type Kind string

const (
	// KindChoice is one of the values that the switch lists.
	KindChoice Kind = "choice"
	// KindInteger is a decimal whole number, 0 or above.
	KindInteger Kind = "integer"
	// KindDuration is a duration in the form of [time.ParseDuration].
	KindDuration Kind = "duration"
)

// The values of a yes-or-no switch.
const (
	Yes = "yes"
	No  = "no"
)

// Switch is one choice of the vendor that its documents leave open, or that differs between releases. The
// default is the strict interpretation: the answer that is hardest for a careless client.
type Switch struct {
	Name        string   `json:"name"`
	Kind        Kind     `json:"kind"`
	Default     string   `json:"default"`
	Allowed     []string `json:"allowed,omitempty"`
	Description string   `json:"meaning"`
}

// Choice describes a switch between values. The first value is the default.
func Choice(name, description string, values ...string) Switch {
	return Switch{Name: name, Kind: KindChoice, Default: values[0], Allowed: values, Description: description}
}

// Integer describes a switch of [KindInteger] with its default value.
func Integer(name, description string, value int) Switch {
	return Switch{Name: name, Kind: KindInteger, Default: strconv.Itoa(value), Description: description}
}

// Duration describes a switch of [KindDuration] with its default value.
func Duration(name, description string, value time.Duration) Switch {
	return Switch{Name: name, Kind: KindDuration, Default: value.String(), Description: description}
}

// SwitchValue is a switch of one vendor with its current value.
type SwitchValue struct {
	Vendor string `json:"vendor"`
	Switch
	Value string `json:"value"`
}

// check returns an error if the switch cannot have this value.
func (s Switch) check(value string) error {
	switch s.Kind {
	case KindChoice:
		if !slices.Contains(s.Allowed, value) {
			return fmt.Errorf("value %q is not one of %s", value, strings.Join(s.Allowed, ", "))
		}
	case KindInteger:
		if n, err := strconv.Atoi(value); err != nil || n < 0 {
			return fmt.Errorf("value %q is not a whole number of 0 or above", value)
		}
	case KindDuration:
		if _, err := time.ParseDuration(value); err != nil {
			return fmt.Errorf("value is not a duration: %w", err)
		}
	default:
		return fmt.Errorf("kind %q is unknown", s.Kind)
	}
	return nil
}
