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

// Suite are the tests that every vendor's emulator must pass alike. T is what the vendor's own tests make of a
// [Server], such as one that knows how to log in.
type Suite[T any] struct {
	// Vendor is the vendor.
	Vendor emulator.Vendor
	// On makes a T that uses the first root credential of a server.
	On func(*Server) T
	// Switches prove what the vendor's switches do.
	Switches SwitchCases[T]
}

// SwitchCases has a case for every switch of a vendor, by the switch's name.
type SwitchCases[T any] map[string]struct {
	// Probe does on a server that nobody has used what the switch makes a difference to, and shows the difference.
	Probe func(on T) string
	// Want is what the probe shows for each value: for all that the switch lists, and for the default and at least one
	// other where it lists none.
	Want map[string]string
}

// wrongValues are refused by a switch of that kind.
var wrongValues = map[emulator.Kind][]string{
	emulator.KindChoice:   {"", "none of its values"},
	emulator.KindInteger:  {"", "many", "1.5", "-1"},
	emulator.KindDuration: {"", "long", "1"},
}

// Run runs the tests, each on servers of its own.
func (s Suite[T]) Run(t *testing.T) {
	t.Run("RootCredentials_ComeFromTheSeed", s.testSeed)
	t.Run("Actions_HaveAMeaning", s.testActions)
	t.Run("Switches_HaveAMeaningAndACaseEach", s.testDescriptions)
	t.Run("Switches_TakeOnlyValuesOfTheirKind", s.testValues)
	t.Run("Switches_EveryValueHasItsEffectUntilReset", s.testEffects)
}

// testSeed compares the root credentials of equal and other seeds.
func (s Suite[T]) testSeed(t *testing.T) {
	seeded := func(seed uint64) *Server { return StartWith(t, emulator.Config{Seed: seed}, s.Vendor) }
	first, again, other := seeded(1), seeded(1), seeded(2)
	require.NotEmpty(t, first.Root())
	assert.Equal(t, first.Root(), again.Root())
	assert.Equal(t, first.Login(), again.Login())
	assert.NotEqual(t, first.Root(), other.Root())
}

// testActions reads what the vendor says about its actions.
func (s Suite[T]) testActions(t *testing.T) {
	server := Start(t, s.Vendor)
	seen := map[any]bool{}
	for _, each := range server.Send("GET", server.ControlURL()+"/actions", nil).Body["actions"].([]any) {
		action := each.(map[string]any)
		assert.Regexp(t, `^[a-z_]+$`, action["name"])
		assert.False(t, seen[action["name"]], "%s is there twice", action["name"])
		assert.NotEmpty(t, action["meaning"], action["name"])
		seen[action["name"]] = true
	}
	assert.NotEmpty(t, seen)
}

// testDescriptions reads what the vendor says about its switches, and that none is without proof.
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

// testValues sets every switch to what it takes and to what it does not.
func (s Suite[T]) testValues(t *testing.T) {
	server := Start(t, s.Vendor)
	for i, each := range server.Switches(s.Vendor.Name) {
		value := func() string { return server.Switches(s.Vendor.Name)[i].Value }
		for good := range s.Switches[each.Name].Want {
			server.Set(each.Name, good)
			assert.Equal(t, good, value(), each.Name)
			for _, wrong := range wrongValues[each.Kind] {
				require.Error(t, server.SetSwitch(s.Vendor.Name, each.Name, wrong), "%s %q", each.Name, wrong)
				assert.Equal(t, good, value(), "%s after %q was refused", each.Name, wrong)
			}
		}
		server.Reset()
		assert.Equal(t, each.Default, value(), each.Name)
	}
}

// testEffects sets every switch to each of its values, and compares the vendor after a reset with a new one.
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

// timeless is what a vendor has issued, without the times: a reset dates anew what is there from the start.
func timeless(issued []emulator.Credential) []emulator.Credential {
	for i := range issued {
		issued[i].IssuedAt, issued[i].ExpiresAt, issued[i].EndedAt = time.Time{}, nil, nil
	}
	return issued
}
