// Package providertest proves that a vendor package keeps the contract in package provider.
//
// [Suite] describes a vendor and its emulated twin, and [Suite.Run] turns each sentence of the contract into
// a subtest: first with the twin as it is by default, which is the reading that is hardest on a client, then
// again for every choice that the vendor's documents leave open. [Acceptance] does the same in short at the real
// product. [Instance] is for a driver's own tests; [Clock] and [Sessions] are the stand-ins for the time and for the
// engine's storage.
package providertest

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Suite describes a vendor to the tests.
type Suite struct {
	// New makes the provider.
	New func() provider.Provider
	// Instance is the emulated vendor, of the same name.
	Twin emulator.Vendor
	// Create is the operation, in the twin's request log, that makes a credential.
	Create string
	// Login is the operation by which the connection logs in for itself. Empty when the vendor's credentials
	// are made with the root credential directly.
	Login string
	// RotateRoute is the route, as in [emulator.Fault], of the request that replaces the root credential or makes
	// another in its place. Empty when the vendor's API has none.
	RotateRoute string
	// Required names the config fields that must not be missing or empty.
	Required []string
	// WrongRoot are config fields with which the vendor refuses the root credential.
	WrongRoot map[string]any
	// Role holds role fields for all credentials of the suite. Optional.
	Role map[string]any
	// InvalidRoles are roles that are refused, by the field that the refusal names. Optional.
	InvalidRoles map[string]map[string]any
	// Use presents a credential as an application would, and tells whether the vendor accepts it.
	Use func(ctx context.Context, client *http.Client, credential *provider.Credential) (bool, error)
	// RateLimitPause is how long the driver stays away after a 429 that does not say how long. Optional.
	RateLimitPause time.Duration
	// Gone lists the statuses by which the vendor documents that a credential does not exist, so that they
	// need no further proof. Optional.
	Gone []int
	// Unlimited are switches that lift the vendor's limit on live credentials. Optional.
	Unlimited map[string]string
	// ListsAll says that the vendor lists every credential to a Finder.
	ListsAll bool
	// Variants are the undocumented choices under which everything must hold too.
	Variants []Variant
}

// Variant is one answer to a question that the vendor's documents leave open.
type Variant struct {
	// Name names the subtest.
	Name string
	// Switches are set at the twin.
	Switches map[string]string
	// RefusedRoot is the class of a refused root credential, when it is not ClassUnauthenticated because the
	// vendor's answer does not tell as much.
	RefusedRoot provider.Class
	// LoginOwnsCredentials says that the vendor ends the credentials together with the login they were made
	// by, so that what is promised about them does not hold.
	LoginOwnsCredentials bool
	// ListsAll says that the vendor lists every credential to a Finder, although it need not.
	ListsAll bool
	// SeesLimit says that the connection can tell when the vendor's limit on live credentials is reached, and
	// keeps it even where Suite.Unlimited lifts it.
	SeesLimit bool
}

// Switched is a variant of switches, given as name and value in turn, and is named after them.
func Switched(nameAndValue ...string) Variant {
	variant := Variant{Switches: map[string]string{}}
	var names []string
	for pair := range slices.Chunk(nameAndValue, 2) {
		variant.Switches[pair[0]] = pair[1]
		names = append(names, pair[0]+" "+pair[1])
	}
	variant.Name = strings.Join(names, ", ")
	return variant
}

// test is one sentence of the contract.
type test struct {
	name string
	run  func(t *testing.T, e *env)
	// once says that no variant can make a difference.
	once bool
	// needs tells whether the sentence is about this vendor. Nil means that it is.
	needs func(s *Suite, capabilities provider.Capabilities) bool
}

// Run proves the contract. With -short it leaves out the variants.
func (s Suite) Run(t *testing.T) {
	t.Run("description", s.testDescription)
	t.Run("defaults", func(t *testing.T) { s.runVariant(t, Variant{}) })
	if testing.Short() {
		return
	}
	for _, variant := range s.Variants {
		t.Run(variant.Name, func(t *testing.T) { s.runVariant(t, variant) })
	}
}

// runVariant runs all tests against one server, which forgets everything between them.
func (s Suite) runVariant(t *testing.T, variant Variant) {
	clock := NewClock()
	start := clock.Now()
	server, err := emulator.Start(emulator.Config{Seed: 1, Now: clock.Now}, s.Twin)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	capabilities := s.New().Capabilities()
	for _, group := range [][]test{
		openTests, checkTests, issueTests, answerTests, renewTests, revokeTests, markerTests, findTests, loginTests, rotateTests,
	} {
		for _, each := range group {
			if each.needs != nil && !each.needs(&s, capabilities) || each.once && variant.Name != "" {
				continue
			}
			t.Run(each.name, func(t *testing.T) {
				server.Reset()
				clock.Set(start)
				each.run(t, newEnv(t, &s, variant, server, clock))
			})
		}
	}
}

// The usual needs.
var (
	needsRevoker = func(_ *Suite, c provider.Capabilities) bool { return c.Revokes }
	needsMarker  = func(_ *Suite, c provider.Capabilities) bool { return c.Marker != "" }
	needsRenewer = func(_ *Suite, c provider.Capabilities) bool { return c.Renewal != provider.RenewalNone }
	needsLogin   = func(s *Suite, _ provider.Capabilities) bool { return s.Login != "" }
)

// merged returns base with changes on top.
func merged[V any](base, changes map[string]V) map[string]V {
	result := maps.Clone(base)
	if result == nil {
		result = map[string]V{}
	}
	maps.Copy(result, changes)
	return result
}
