package backend

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// observations returns what a probe observes of a vendor's emulator with these switches: by row, and by "answers of "
// and the step. The mount is a new one for each call.
func (m *mount) observations(vendor string, switches map[string]string) map[string]string {
	m.t.Helper()
	m.backend.Clean(m.t.Context())
	m.vendors.Reset()
	m.storage = &logical.InmemStorage{}
	m.start()
	for name, value := range vendorfacts.ProbeSwitchesOf(vendor).Base {
		m.setSwitch(vendor, name, value)
	}
	for name, value := range switches {
		m.setSwitch(vendor, name, value)
	}
	facts := vendorfacts.Named(vendor)
	changes := map[string]any{"verify_connection": false} // the probe is the first to see the product
	if facts.Hook != nil {
		changes["revoke_url"] = m.vendors.State().Vendors[vendor].URL + facts.Hook.Path
		changes["revoke_body"] = facts.Hook.Body
	}
	m.writeConfig(vendor, changes)
	role := map[string]any{"config": vendor}
	maps.Copy(role, facts.Role)
	m.must(logical.UpdateOperation, "roles/"+vendor, role)
	seen := map[string]string{}
	for _, row := range m.runProbe(vendor)["steps"].([]any) {
		row := row.(map[string]any)
		name := row["step"].(string)
		if fact := row["fact"].(string); fact != "" {
			name += ": " + fact
		}
		seen[name] = vendorfacts.ComparableObservation(row["observed"].(string))
		if answers := row["answers"].([]string); len(answers) > 0 {
			seen["answers of "+name] = strings.Join(answers, "\n")
		}
	}
	return seen
}

// alternatives returns the values of a choice that are not the one of the default runs.
func alternatives(vendor string, choice emulator.Switch) []string {
	usual := choice.Default
	if base, ok := vendorfacts.ProbeSwitchesOf(vendor).Base[choice.Name]; ok {
		usual = base
	}
	return slices.DeleteFunc(slices.Clone(choice.Allowed), func(value string) bool { return value == usual })
}

func TestProbe_EverySwitch_IsToldApartOrHasAReason(t *testing.T) {
	for _, vendor := range all.Vendors() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			m.clock.advanceToNoon()
			usual := m.observations(vendor.Name, nil)
			require.Equal(t, usual, m.observations(vendor.Name, nil), "observations are the same from run to run")
			tables, named := vendorfacts.ProbeSwitchesOf(vendor.Name), map[string]bool{}
			for _, each := range vendor.Switches {
				named[each.Name] = true
				rows, isObservable := tables.Observable[each.Name]
				reason, isUnobservable := tables.Unobservable[each.Name]
				if !assert.NotEqual(t, isObservable, isUnobservable, "%s: must be in one of the tables", each.Name) {
					continue
				}
				if isObservable {
					m.requireToldApart(vendor.Name, each, usual, rows)
					continue
				}
				assert.NotEmpty(t, reason, each.Name)
				for _, value := range alternatives(vendor.Name, each) {
					assert.Equal(t, usual, m.observations(vendor.Name, map[string]string{each.Name: value}),
						"%s=%s is observable: move it to the other table", each.Name, value)
				}
			}
			for _, table := range [][]string{slices.Collect(maps.Keys(tables.Observable)), slices.Collect(maps.Keys(tables.Unobservable))} {
				for _, name := range table {
					assert.True(t, named[name], "%s has no switch %s", vendor.Name, name)
				}
			}
		})
	}
}

// requireToldApart requires that the named row differs for each value of a switch, and that no two values look the same.
func (m *mount) requireToldApart(vendor string, tested emulator.Switch, usual map[string]string, rows vendorfacts.Rows) {
	m.t.Helper()
	covered := slices.Sorted(maps.Keys(rows))
	excused := vendorfacts.ProbeSwitchesOf(vendor).UnobservableValues[tested.Name]
	if tested.Kind == emulator.KindChoice && len(tested.Allowed) > 1 {
		assert.ElementsMatch(m.t, alternatives(vendor, tested), slices.Concat(covered, slices.Collect(maps.Keys(excused))), tested.Name)
	}
	looks := []map[string]string{usual}
	for _, value := range covered {
		seen := m.observations(vendor, map[string]string{tested.Name: value})
		assert.Contains(m.t, seen, rows[value], "%s=%s", tested.Name, value)
		assert.NotEqual(m.t, usual[rows[value]], seen[rows[value]], "%s=%s does not show in %q", tested.Name, value, rows[value])
		for _, look := range looks {
			assert.NotEqual(m.t, look, seen, "%s=%s looks like another value", tested.Name, value)
		}
		looks = append(looks, seen)
	}
	for value, reason := range excused {
		assert.NotEmpty(m.t, reason)
		assert.Equal(m.t, usual, m.observations(vendor, map[string]string{tested.Name: value}), "%s=%s is observable", tested.Name, value)
	}
}

// Several switches at once are told apart too, each as in a probe of its own.
func TestProbe_SwitchesCombined_AreToldApart(t *testing.T) {
	for _, vendor := range all.Vendors() {
		t.Run(vendor.Name, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			m.clock.advanceToNoon()
			usual := m.observations(vendor.Name, nil)
			for _, run := range vendorfacts.ProbeSwitchesOf(vendor.Name).Runs() {
				seen := m.observations(vendor.Name, run.Values)
				for name, row := range run.Rows {
					single := m.observations(vendor.Name, map[string]string{name: run.Values[name]})
					assert.NotEqual(t, usual[row], seen[row], "%s of %v does not show in %q", name, run.Values, row)
					assert.Equal(t, single[row], seen[row], "%s shows as in a probe of its own", name)
				}
			}
		})
	}
}

// advanceToNoon advances the clock to the next noon in UTC. A life that crosses midnight looks the same with a vendor that
// stores whole days.
func (c *clock) advanceToNoon() {
	now := c.Now()
	noon := now.UTC().Truncate(24 * time.Hour).Add(36 * time.Hour)
	c.Advance(noon.Sub(now))
}
