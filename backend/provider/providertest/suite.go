// Package providertest proves that a vendor package fulfills the contract in package provider.
//
// [Suite] describes a vendor and its emulator. [Suite.Run] proves each statement of the contract with a subtest. It runs
// all of them first with the emulator's default behavior, which is the most difficult one for a client, and then
// with each behavior that the vendor's documents leave open. [Acceptance] does a short version of this with the real
// product. [Instance] is for a driver's own tests. [Clock] and [Sessions] are fakes of the time and of the engine's
// storage.
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
	// New returns the provider.
	New func() provider.Provider
	// Emulator is the vendor's emulator. Its name is the provider's.
	Emulator emulator.Vendor
	// Create is the operation in the emulator's request log that creates a credential.
	Create string
	// Login is the operation with which the connection logs in. Empty if the driver creates credentials with the
	// root credential directly.
	Login string
	// ChecksReuseLogin is true if Check uses the login that the same root credential has opened before.
	ChecksReuseLogin bool
	// RotateRoute is the route, as in [emulator.Fault], of the request that replaces the root credential or creates
	// its successor. Empty if the vendor's API has none.
	RotateRoute string
	// Required are the names of the config fields that must not be missing or empty.
	Required []string
	// WrongRoot are config fields with which the vendor refuses the root credential.
	WrongRoot map[string]any
	// Role holds role fields for all credentials of the suite. Optional.
	Role map[string]any
	// InvalidRoles are invalid roles by the field that the error names. Optional.
	InvalidRoles map[string]map[string]any
	// Use sends a credential as an application does, and reports whether the vendor accepts it.
	Use func(ctx context.Context, client *http.Client, credential *provider.Credential) (bool, error)
	// RateLimitPause is the RetryAfter of an error about a 429 without a Retry-After header. Optional.
	RateLimitPause time.Duration
	// RepeatsRateLimited is true if the driver waits for a rate limit within the caller's time and then sends the create
	// once more: the vendor created nothing for the refused request.
	RepeatsRateLimited bool
	// Gone are the statuses that prove by the vendor's documents that a credential does not exist. Optional.
	Gone []int
	// Unlimited are switches that remove the vendor's limit of live credentials. Optional.
	Unlimited map[string]string
	// ListsAll is true if List returns every credential.
	ListsAll bool
	// Defaults holds what is true for the emulator's default behavior. It has no name and no switches. Optional.
	Defaults Variant
	// Variants are the undocumented behaviors with which the contract must hold too.
	Variants []Variant
}

// Variant is a behavior of the vendor that its documents leave open.
type Variant struct {
	// Name is the name of the subtest.
	Name string
	// Switches are the emulator's switches to set, by name.
	Switches map[string]string
	// RefusedRoot is the class of a refused root credential if it is not ClassUnauthenticated, because the vendor's
	// answer does not contain the reason.
	RefusedRoot provider.Class
	// LoginOwnsCredentials is true if the vendor ends credentials together with the login that created them. Then
	// the statements about their independence do not hold.
	LoginOwnsCredentials bool
	// ListsAll is true if List returns every credential with this behavior, although it need not.
	ListsAll bool
	// SeesLimit is true if the connection can detect that the vendor's limit of live credentials is reached. It
	// then refuses to issue more, even if Suite.Unlimited removes the limit.
	SeesLimit bool
}

// Switched returns a variant with the given switches, as alternating names and values. Its name consists of them.
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

// test proves one statement of the contract.
type test struct {
	name string
	run  func(t *testing.T, e *env)
	// once is true if the result does not depend on the variant.
	once bool
	// needs reports whether the statement applies to this vendor. Nil means that it does.
	needs func(s *Suite, capabilities provider.Capabilities) bool
}

// Run proves the contract. With -short it skips the variants.
//
// It runs in parallel with other parallel tests, and its variants with each other: each has a server, a clock and a provider of
// its own. So a driver's own tests come first, and a fault in the driver is reported by the test that names it.
func (s Suite) Run(t *testing.T) {
	t.Parallel()
	t.Run("description", s.testDescription)
	t.Run("defaults", func(t *testing.T) { s.runVariant(t, s.Defaults) })
	if testing.Short() {
		return
	}
	for _, variant := range s.Variants {
		t.Run(variant.Name, func(t *testing.T) {
			t.Parallel()
			s.runVariant(t, variant)
		})
	}
}

// runVariant runs all tests with one server, which is reset before each of them.
func (s Suite) runVariant(t *testing.T, variant Variant) {
	clock := NewClock()
	start := clock.Now()
	server, err := emulator.Start(emulator.Config{Seed: 1, Now: clock.Now}, s.Emulator)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	capabilities := s.New().Capabilities()
	for _, group := range [][]test{
		openTests, checkTests, issueTests, answerTests, renewTests, revokeTests, markerTests, listTests, useTests, loginTests, rotateTests,
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

// Values of test.needs.
var (
	needsRevoker = func(_ *Suite, c provider.Capabilities) bool { return c.Revokes }
	needsMarker  = func(_ *Suite, c provider.Capabilities) bool { return c.Marker != "" }
	needsRenewer = func(_ *Suite, c provider.Capabilities) bool { return c.Renewal != provider.RenewalNone }
	needsLogin   = func(s *Suite, _ provider.Capabilities) bool { return s.Login != "" }
)

// merged returns a copy of base with the changes.
func merged[V any](base, changes map[string]V) map[string]V {
	result := maps.Clone(base)
	if result == nil {
		result = map[string]V{}
	}
	maps.Copy(result, changes)
	return result
}
