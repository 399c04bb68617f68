package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// repository is the root of the repository.
const repository = "../.."

// registered returns what the engine says about each registered vendor, by name: the path info of a new mount.
func registered(t *testing.T) map[string]map[string]any {
	t.Helper()
	storage := &logical.InmemStorage{}
	engine, err := backend.Factory(t.Context(), &logical.BackendConfig{
		Logger: hclog.NewNullLogger(), System: &logical.StaticSystemView{}, StorageView: storage,
	})
	require.NoError(t, err)
	t.Cleanup(func() { engine.Cleanup(context.Background()) })
	info, err := engine.HandleRequest(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "info", Storage: storage})
	require.NoError(t, err)
	vendors := map[string]map[string]any{}
	for name, described := range info.Data["vendors"].(map[string]any) {
		vendors[name] = described.(map[string]any)
	}
	require.NotEmpty(t, vendors)
	return vendors
}

// The end-to-end tests run for every entry of the table of vendor facts, and a test of the fault tests compares their
// targets with it. So this test ensures that they cover every registered vendor, too.
func TestVendors_EveryRegistered_IsCoveredEverywhere(t *testing.T) {
	names := slices.Sorted(maps.Keys(registered(t)))
	for place, covered := range map[string][]string{
		"vendorfacts.All, which the end-to-end and fault tests use": vendorfacts.Names(),
		"the demo":                shown(),
		"emulator/all":            emulated(),
		"the README's table":      documentedInReadme(t),
		"the pages docs/vendors/": documentedOnPages(t),
	} {
		assert.ElementsMatch(t, names, covered, place)
	}
}

func TestVendorFacts_Capabilities_AgreeWithTheEngine(t *testing.T) {
	for name, described := range registered(t) {
		facts := vendorfacts.Named(name)
		assert.Equal(t, string(facts.Renewal), described["renewal"], name)
		assert.Equal(t, facts.Revokes || facts.Hook != nil, described["revokes"], name)
		assert.Equal(t, facts.RotatesRoot(), described["rotates_root"], name)
		assert.Equal(t, facts.Marked, described["marker"] != "", name)
	}
}

// shown returns the vendors of the demo.
func shown() []string {
	var names []string
	for _, v := range vendors() {
		names = append(names, v.Name)
	}
	return names
}

// emulated returns the vendors that the emulator serves.
func emulated() []string {
	var names []string
	for _, v := range all.Vendors() {
		names = append(names, v.Name)
	}
	return names
}

// vendorRow matches a row of the README's table of vendors, which links to the vendor's page.
var vendorRow = regexp.MustCompile("(?m)^\\| *\\[?`([a-z0-9_]+)`\\]?\\(docs/vendors/([a-z0-9_]+)\\.md\\) *\\|")

// documentedInReadme returns the vendors of the README's table.
func documentedInReadme(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	require.NoError(t, err)
	var names []string
	for _, row := range vendorRow.FindAllStringSubmatch(string(text), -1) {
		require.Equal(t, row[1], row[2], "the row links to the vendor's page")
		names = append(names, row[1])
	}
	return names
}

// documentedOnPages returns the vendors that have a page below docs/vendors, which names the value of the field vendor.
func documentedOnPages(t *testing.T) []string {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(repository, "docs", "vendors", "*.md"))
	require.NoError(t, err)
	var names []string
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		if name == "README" || name == "index" {
			continue
		}
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Contains(t, string(text), "vendor="+name, page)
		names = append(names, name)
	}
	return names
}
