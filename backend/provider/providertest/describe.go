package providertest

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

// testDescription checks the provider's description of its vendor, without a server.
func (s Suite) testDescription(t *testing.T) {
	described := s.New()
	assert.Regexp(t, namePattern, described.Name())
	assert.Equal(t, s.Emulator.Name, described.Name(), "driver and emulator have the same vendor")
	assert.NotEmpty(t, described.Description())

	capabilities := described.Capabilities()
	assert.Equal(t, capabilities, described.Capabilities(), "capabilities are constant")
	assert.NotEqual(t, "unknown", capabilities.Renewal.String())
	assert.NotEmpty(t, capabilities.RevocationNote)
	assert.NotEmpty(t, capabilities.RotationNote)
	assert.Equal(t, capabilities.RotatesRoot, s.RotateRoute != "", "the suite has a RotateRoute exactly if the driver rotates the root credential")
	assert.GreaterOrEqual(t, capabilities.MaxLifetime.Seconds(), 0.0)
	assert.GreaterOrEqual(t, capabilities.DefaultMaxCredentials, 0)

	s.checkVariants(t)

	sensitive := 0
	for name, field := range described.ConfigFields() {
		assert.NotEmpty(t, field.Description, name)
		if field.DisplayAttrs != nil && field.DisplayAttrs.Sensitive {
			sensitive++
		}
	}
	assert.Positive(t, sensitive, "the root credential is marked sensitive")
	for _, name := range append(capabilities.AddressFields, capabilities.AccountFields...) {
		if assert.Contains(t, described.ConfigFields(), name) {
			display := described.ConfigFields()[name].DisplayAttrs
			assert.False(t, display != nil && display.Sensitive, "%s: the name of an address or account is no secret", name)
		}
	}
	assert.True(t, capabilities.MaxCredentials == 0 || capabilities.DefaultMaxCredentials <= capabilities.MaxCredentials,
		"the default does not exceed what the vendor allows")
	for _, alternative := range capabilities.Alternatives {
		fields, kind := described.ConfigFields(), "config"
		if _, ok := fields[alternative.Fields[0]]; !ok {
			fields, kind = described.RoleFields(), "role"
		}
		for _, name := range append(alternative.Fields, alternative.Replaces...) {
			assert.Contains(t, fields, name, "alternatives are fields of one object, here of the %s", kind)
		}
	}
	for name, field := range described.RoleFields() {
		assert.NotEmpty(t, field.Description, name)
	}
	for _, name := range s.Required {
		assert.Contains(t, described.ConfigFields(), name)
	}

	requireFacts(t, described)

	schema := described.RoleFields()
	require.NoError(t, described.ValidateRole(&framework.FieldData{Raw: s.Role, Schema: schema}))
	if len(s.Role) == 0 {
		require.NoError(t, described.ValidateRole(&framework.FieldData{Raw: map[string]any{}, Schema: schema}))
	}
	for field, raw := range s.InvalidRoles {
		requireInvalid(t, described.ValidateRole(&framework.FieldData{Raw: raw, Schema: schema}), field)
	}
}

var factNamePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// probeSteps are the names of all steps of a probe.
var probeSteps = []string{
	provider.StepLogin, provider.StepIssue, provider.StepUse, provider.StepInspect, provider.StepList, provider.StepSecond,
	provider.StepUseBoth, provider.StepRenew, provider.StepUseRenewed, provider.StepRevoke, provider.StepUseRevoked,
	provider.StepRevokeAgain, provider.StepMarker, provider.StepExpiry, provider.StepRenewExpired, provider.StepRevokeExpired,
}

// requireFacts checks the statements that a probe can observe, without a server.
func requireFacts(t *testing.T, described provider.Provider) {
	t.Helper()
	prober, ok := described.(provider.Prober)
	require.True(t, ok, "every vendor can be probed")
	facts := prober.ProbeFacts()
	require.NotEmpty(t, facts)
	again, named := prober.ProbeFacts(), map[string]bool{}
	require.Len(t, again, len(facts), "facts are constant")
	for i, fact := range facts {
		assert.Equal(t, fact.Name, again[i].Name, "facts are constant")
		assert.Regexp(t, factNamePattern, fact.Name)
		assert.False(t, named[fact.Step+fact.Name], "%s: a step has one fact of this name", fact.Name)
		named[fact.Step+fact.Name] = true
		assert.Contains(t, probeSteps, fact.Step, fact.Name)
		assert.True(t, strings.HasSuffix(fact.Contract, "."), "%s: the contract is a sentence", fact.Name)
		assert.Contains(t, []provider.FactStatus{provider.FactConfirmed, provider.FactInferred, provider.FactUnknown}, fact.Status, fact.Name)
		assert.Equal(t, fact.Status == provider.FactUnknown, len(fact.Expected) == 0, "%s: exactly what is unknown has no expectation", fact.Name)
		assert.Empty(t, fact.Observe(provider.Observation{}), "%s: without an answer, nothing was observed", fact.Name)
		for _, expected := range fact.Expected {
			assert.NotEmpty(t, expected, fact.Name)
		}
	}
}

// requireInvalid requires a ClassInvalid error about a field.
func requireInvalid(t *testing.T, err error, field string) {
	t.Helper()
	failure, ok := errors.AsType[*provider.Error](err)
	require.True(t, ok, "not an *Error about field %q: %v", field, err)
	assert.Equal(t, provider.ClassInvalid, failure.Class, failure.Error())
	assert.Equal(t, field, failure.Field, failure.Error())
}

// openTests prove the statements about Open, and those about a connection that makes no call.
var openTests = []test{
	{name: "Open_MakesNoCall_ReadsNoSession", once: true, run: func(t *testing.T, e *env) {
		e.open()
		loads, saves := e.sessions.Calls()
		assert.Zero(t, e.Requested())
		assert.Zero(t, loads+saves)
	}},
	{name: "Open_InvalidConfig_NamesField", once: true, run: func(t *testing.T, e *env) {
		for _, field := range e.suite.Required {
			config := e.config(nil)
			delete(config.Fields.Raw, field)
			_, err := e.provider.Open(config)
			requireInvalid(t, e.checkErr(err), field)
			for _, value := range []any{"", []int{1}} {
				_, err := e.provider.Open(e.config(map[string]any{field: value}))
				requireInvalid(t, e.checkErr(err), field)
			}
		}
		for _, address := range []string{"", "http://vendor.example", "https://user:pass@vendor.example", "ftp://vendor.example"} {
			config := e.config(nil)
			config.Address = address
			_, err := e.provider.Open(config)
			requireInvalid(t, e.checkErr(err), "address")
		}
		config := e.config(nil)
		config.CACert = "not a certificate"
		_, err := e.provider.Open(config)
		requireInvalid(t, e.checkErr(err), "ca_cert")
	}},
	{name: "Open_Connection_HasAbilitiesOfCapabilities", once: true, run: func(t *testing.T, e *env) {
		connection, capabilities := e.open(), e.provider.Capabilities()
		_, renews := connection.(provider.Renewer)
		_, revokes := connection.(provider.Revoker)
		_, revokesMarkers := connection.(provider.MarkerRevoker)
		_, lists := connection.(provider.Lister)
		_, rotates := connection.(provider.RootRotator)
		_, bootstraps := connection.(provider.Bootstrapper)
		_, revokesRoot := connection.(provider.RootRevoker)
		assert.Equal(t, capabilities.Renewal != provider.RenewalNone, renews, "Renewer")
		assert.Equal(t, capabilities.Revokes, revokes, "Revoker")
		assert.Equal(t, capabilities.Marker != "", revokesMarkers, "MarkerRevoker")
		assert.Equal(t, capabilities.RotatesRoot, rotates, "RootRotator")
		assert.False(t, lists && !revokesMarkers, "a Lister is a MarkerRevoker")
		assert.False(t, bootstraps && !revokesRoot, "a Bootstrapper is a RootRevoker: what it creates must end")
	}},
	{name: "MaxLifetime_MakesNoCall", once: true, run: func(t *testing.T, e *env) {
		life := e.open().MaxLifetime()
		if limit := e.provider.Capabilities().MaxLifetime; limit > 0 {
			assert.Positive(t, life)
			assert.LessOrEqual(t, life, limit)
		}
		assert.Zero(t, e.Requested())
	}},
	{name: "Logout_UnusedConnection_MakesNoCall", once: true, run: func(t *testing.T, e *env) {
		require.NoError(t, e.open().Logout(t.Context()))
		assert.Zero(t, e.Requested())
	}},
}

// checkVariants checks that each variant sets a switch to another value than its default. Otherwise a change of the default
// makes the variant repeat the tests of the defaults, and no test covers the previous default.
func (s Suite) checkVariants(t *testing.T) {
	t.Helper()
	defaults := map[string]string{}
	for _, each := range s.Emulator.Switches {
		defaults[each.Name] = each.Default
	}
	for _, variant := range s.Variants {
		differs := false
		for name, value := range variant.Switches {
			differs = differs || defaults[name] != value
		}
		assert.True(t, differs, "the variant %q differs from the defaults", variant.Name)
	}
}
