package emulator

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// quirks stores the switches of one vendor and their values. The vendor's lock guards it.
type quirks struct {
	known  []Switch
	values map[string]string
}

// newQuirks returns the switches at their defaults, with [SwitchClockSkew] added.
func newQuirks(known []Switch) (*quirks, error) {
	skew := Duration(SwitchClockSkew, "added to the vendor's clock: its Date header and its absolute times are wrong by the same amount", 0)
	q := &quirks{known: append(slices.Clone(known), skew), values: map[string]string{}}
	for _, s := range q.known {
		if _, twice := q.values[s.Name]; twice {
			return nil, fmt.Errorf("switch %q is declared twice", s.Name)
		}
		if err := s.check(s.Default); err != nil {
			return nil, fmt.Errorf("default of switch %q: %w", s.Name, err)
		}
		q.values[s.Name] = s.Default
	}
	return q, nil
}

// errNoSwitch is the error of set for a switch that the vendor does not have.
var errNoSwitch = errors.New("no such switch")

// set changes one switch.
func (q *quirks) set(name, value string) error {
	i := slices.IndexFunc(q.known, func(s Switch) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("set switch %q: %w", name, errNoSwitch)
	}
	if err := q.known[i].check(value); err != nil {
		return fmt.Errorf("set switch %q: %w", name, err)
	}
	q.values[name] = value
	return nil
}

// value returns the value of one switch. It panics on an unknown name, which is a mistake in the vendor's
// package.
func (q *quirks) value(name string) string {
	v, ok := q.values[name]
	if !ok {
		panic(fmt.Sprintf("emulator: switch %q is not declared", name))
	}
	return v
}

// duration returns the value of one switch of [KindDuration].
func (q *quirks) duration(name string) time.Duration {
	d, err := time.ParseDuration(q.value(name))
	if err != nil {
		panic(fmt.Sprintf("emulator: switch %q holds no duration: %v", name, err))
	}
	return d
}

// reset sets every switch to its default.
func (q *quirks) reset() {
	for _, s := range q.known {
		q.values[s.Name] = s.Default
	}
}

// list returns all switches of the vendor with their values, in the order of declaration.
func (q *quirks) list(vendor string) []SwitchValue {
	list := make([]SwitchValue, 0, len(q.known))
	for _, s := range q.known {
		list = append(list, SwitchValue{Vendor: vendor, Switch: s, Value: q.values[s.Name]})
	}
	return list
}
