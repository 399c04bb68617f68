package backend

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/all"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// The demo and the end-to-end tests run for every entry of the table of vendor facts, and a test of the fault tests
// compares their targets with it. So this test ensures that they cover every registered vendor, too.
func TestRegistry_EveryVendor_IsCoveredEverywhere(t *testing.T) {
	var names, emulated []string
	for _, vendor := range registry() {
		names = append(names, vendor.Name())
	}
	for _, vendor := range all.Vendors() {
		emulated = append(emulated, vendor.Name)
	}
	require.NotEmpty(t, names)
	for place, covered := range map[string][]string{
		"vendorfacts.All, which demo, end-to-end and fault tests use": vendorfacts.Names(),
		"emulator/all":            emulated,
		"the README's table":      documentedInReadme(t),
		"the pages docs/vendors/": documentedOnPages(t),
	} {
		assert.ElementsMatch(t, names, covered, place)
	}
}

func TestVendorFacts_Capabilities_AgreeWithTheDrivers(t *testing.T) {
	for _, vendor := range registry() {
		facts, can := vendorfacts.Named(vendor.Name()), vendor.Capabilities()
		assert.Equal(t, can.Renewal.String(), string(facts.Renewal), facts.Name)
		assert.Equal(t, can.Renewal != provider.RenewalNone, facts.Renewable(), facts.Name)
		assert.Equal(t, can.Revokes, facts.Revokes || facts.Hook != nil, facts.Name)
		assert.Equal(t, can.RotatesRoot, facts.RotatesRoot(), facts.Name)
		assert.Equal(t, can.Marker != "", facts.Marked, facts.Name)
	}
}

// vendorRow matches a row of the README's table of vendors, which links to the vendor's page.
var vendorRow = regexp.MustCompile("(?m)^\\| *\\[?`([a-z0-9_]+)`\\]?\\(docs/vendors/([a-z0-9_]+)\\.md\\) *\\|")

// documentedInReadme returns the vendors of the README's table.
func documentedInReadme(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
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
	pages, err := filepath.Glob(filepath.Join("..", "docs", "vendors", "*.md"))
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
