package emulator

import (
	"errors"
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
func Choice(name, meaning string, values ...string) Switch {
	return Switch{Name: name, Kind: KindChoice, Default: values[0], Allowed: values, Description: meaning}
}

// Integer describes a switch that holds a number.
func Integer(name, meaning string, value int) Switch {
	return Switch{Name: name, Kind: KindInteger, Default: strconv.Itoa(value), Description: meaning}
}

// Duration describes a switch that holds a length of time.
func Duration(name, meaning string, value time.Duration) Switch {
	return Switch{Name: name, Kind: KindDuration, Default: value.String(), Description: meaning}
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

// quirks holds one vendor's switches. The lock of the vendor guards it.
type quirks struct {
	known  []Switch
	values map[string]string
}

// newQuirks sets every switch to its default, and adds the one that all vendors share.
func newQuirks(known []Switch) (*quirks, error) {
	skew := Duration(SwitchClockSkew, "added to the vendor's clock: its Date header and absolute times are wrong together", 0)
	b := &quirks{known: append(slices.Clone(known), skew), values: map[string]string{}}
	for _, s := range b.known {
		if _, twice := b.values[s.Name]; twice {
			return nil, fmt.Errorf("switch %q is declared twice", s.Name)
		}
		if err := s.check(s.Default); err != nil {
			return nil, fmt.Errorf("default of switch %q: %w", s.Name, err)
		}
		b.values[s.Name] = s.Default
	}
	return b, nil
}

// errNoSwitch is returned for a switch that the vendor does not have.
var errNoSwitch = errors.New("no such switch")

// set changes one switch.
func (b *quirks) set(name, value string) error {
	i := slices.IndexFunc(b.known, func(s Switch) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("set switch %q: %w", name, errNoSwitch)
	}
	if err := b.known[i].check(value); err != nil {
		return fmt.Errorf("set switch %q: %w", name, err)
	}
	b.values[name] = value
	return nil
}

// value reads one switch. An unknown name is a mistake in the vendor's package, and panics.
func (b *quirks) value(name string) string {
	v, ok := b.values[name]
	if !ok {
		panic(fmt.Sprintf("emulator: switch %q is not declared", name))
	}
	return v
}

// duration reads one switch that holds a length of time.
func (b *quirks) duration(name string) time.Duration {
	d, err := time.ParseDuration(b.value(name))
	if err != nil {
		panic(fmt.Sprintf("emulator: switch %q holds no duration: %v", name, err))
	}
	return d
}

// reset sets every switch to its default.
func (b *quirks) reset() {
	for _, s := range b.known {
		b.values[s.Name] = s.Default
	}
}

// list returns all switches of the vendor with their values, in the order of declaration.
func (b *quirks) list(vendor string) []SwitchValue {
	list := make([]SwitchValue, 0, len(b.known))
	for _, s := range b.known {
		list = append(list, SwitchValue{Vendor: vendor, Switch: s, Value: b.values[s.Name]})
	}
	return list
}
