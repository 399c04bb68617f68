package emulatortest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Suite contains the tests that every vendor's emulator must pass. T is the type with which the vendor's own tests use
// a [Server], such as one with a method that logs in.
type Suite[T any] struct {
	// Vendor is the vendor under test.
	Vendor emulator.Vendor
	// On returns a T that uses the first root credential of a server.
	On func(*Server) T
	// Switches test the effects of the vendor's switches.
	Switches SwitchCases[T]
}

// SwitchCases has a case for every switch of a vendor, by the switch's name.
type SwitchCases[T any] map[string]struct {
	// Probe sends requests to a fresh server, and returns a text that depends on the value of the switch.
	Probe func(on T) string
	// Want is the result of Probe for each value of the switch: for all allowed values of a [emulator.KindChoice], else
	// for the default and at least one other value.
	Want map[string]string
}

// wrongValues are values that a switch of each kind refuses.
var wrongValues = map[emulator.Kind][]string{
	emulator.KindChoice:   {"", "none of its values"},
	emulator.KindInteger:  {"", "many", "1.5", "-1"},
	emulator.KindDuration: {"", "long", "1"},
}

// Run runs the tests, each on servers of its own.
func (s Suite[T]) Run(t *testing.T) {
	t.Run("RootCredentials_SameSeed_AreEqual", s.testSeed)
	t.Run("Actions_All_HaveADescription", s.testActions)
	t.Run("Switches_All_HaveADescriptionAndACase", s.testDescriptions)
	t.Run("Switches_WrongValue_IsRefused", s.testValues)
	t.Run("Switches_EveryValue_HasItsEffectUntilReset", s.testEffects)
}

// testSeed compares the root credentials of equal and of different seeds.
func (s Suite[T]) testSeed(t *testing.T) {
	seeded := func(seed uint64) *Server { return StartWith(t, emulator.Config{Seed: seed}, s.Vendor) }
	first, again, other := seeded(1), seeded(1), seeded(2)
	require.NotEmpty(t, first.Root())
	assert.Equal(t, first.Root(), again.Root())
	assert.Equal(t, first.Login(), again.Login())
	assert.NotEqual(t, first.Root(), other.Root())
}

// testActions checks names and descriptions of the vendor's actions in the control API.
func (s Suite[T]) testActions(t *testing.T) {
	server := Start(t, s.Vendor)
	seen := map[any]bool{}
	for _, each := range server.Send("GET", server.ControlURL()+"/actions", nil).Body["actions"].([]any) {
		action := each.(map[string]any)
		assert.Regexp(t, `^[a-z_]+$`, action["name"])
		assert.False(t, seen[action["name"]], "%s is listed twice", action["name"])
		assert.NotEmpty(t, action["meaning"], action["name"])
		seen[action["name"]] = true
	}
	assert.NotEmpty(t, seen)
}

// testDescriptions checks names and descriptions of the vendor's switches, and that each switch has a case.
func (s Suite[T]) testDescriptions(t *testing.T) {
	var names []string
	for _, each := range Start(t, s.Vendor).Switches(s.Vendor.Name) {
		names = append(names, each.Name)
		assert.Regexp(t, `^[a-z_]+$`, each.Name)
		assert.NotEmpty(t, each.Description, each.Name)
		assert.Equal(t, each.Default, each.Value, each.Name)
		values := slices.Collect(maps.Keys(s.Switches[each.Name].Want))
		assert.Contains(t, values, each.Default, each.Name)
		assert.Greater(t, len(values), 1, each.Name)
		if each.Kind == emulator.KindChoice {
			assert.ElementsMatch(t, each.Allowed, values, each.Name)
		}
	}
	assert.ElementsMatch(t, names, slices.Collect(maps.Keys(s.Switches)))
}

// testValues sets every switch to allowed and to wrong values.
func (s Suite[T]) testValues(t *testing.T) {
	server := Start(t, s.Vendor)
	for i, each := range server.Switches(s.Vendor.Name) {
		value := func() string { return server.Switches(s.Vendor.Name)[i].Value }
		for valid := range s.Switches[each.Name].Want {
			server.Set(each.Name, valid)
			assert.Equal(t, valid, value(), each.Name)
			for _, wrong := range wrongValues[each.Kind] {
				require.Error(t, server.SetSwitch(s.Vendor.Name, each.Name, wrong), "%s %q", each.Name, wrong)
				assert.Equal(t, valid, value(), "%s after %q was refused", each.Name, wrong)
			}
		}
		server.Reset()
		assert.Equal(t, each.Default, value(), each.Name)
	}
}

// testEffects checks the effect of each value of every switch. It also compares the vendor after a reset with a new
// vendor.
func (s Suite[T]) testEffects(t *testing.T) {
	for name, test := range s.Switches {
		t.Run(name, func(t *testing.T) {
			for value, want := range test.Want {
				server := Start(t, s.Vendor)
				fresh, normal := timeless(server.Issued()), server.Switches(s.Vendor.Name)
				server.Set(name, value)
				require.Equal(t, want, test.Probe(s.On(server)), "value %s", value)

				server.Reset()
				require.Equal(t, fresh, timeless(server.Issued()), "after a reset")
				require.Empty(t, server.Operations(), "after a reset")
				require.Equal(t, normal, server.Switches(s.Vendor.Name), "after a reset")
				i := slices.IndexFunc(normal, func(each emulator.SwitchValue) bool { return each.Name == name })
				require.Equal(t, test.Want[normal[i].Default], test.Probe(s.On(server)), "after %s and a reset", value)
			}
		})
	}
}

// timeless returns credentials without their times, since a reset gives new times to the initial credentials.
func timeless(issued []emulator.Credential) []emulator.Credential {
	for i := range issued {
		issued[i].IssuedAt, issued[i].ExpiresAt, issued[i].EndedAt = time.Time{}, nil, nil
	}
	return issued
}
