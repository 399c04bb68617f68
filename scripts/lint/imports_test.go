package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/vendorauth/vault-plugin-secrets-vendorauth"

// packageRule says what the files of a package may import of this module. Packages below backend are named without
// that prefix, and <vendor> stands for one vendor, the same one in a whole rule. The table "Packages" in
// docs/architecture.md says the same; TestImports_ArchitecturePage_AgreesWithTheRules compares them.
//
// The depguard rules in .golangci.yml repeat the most important part, so that an editor shows a violation at once.
type packageRule struct {
	pkg string
	// may lists packages of this module.
	may []string
	// tests lists what the package's tests may import in addition to itself and to may.
	tests []string
	// names lists what may be used of Vault's SDK, net and net/http, as path.Match patterns. Types that are not listed
	// belong to another layer: storage is not a driver's concern, paths are not the engine's, requests not the store's.
	names []string
}

var (
	// engineNames are what the engine below backend uses of the framework: no path, no operation, no request.
	engineNames = []string{"logical.*", "framework.CalculateTTL", "framework.FieldData", "framework.FieldSchema", "http.Status*"}
	// fieldNames are what a driver declares its fields with.
	fieldNames = []string{"framework.FieldData", "framework.FieldSchema", "framework.DisplayAttributes", "framework.Type*"}
	driver     = slices.Concat([]string{"http.*"}, fieldNames)
	server     = []string{"http.*", "httptest.*", "net.*"}
	// testKit is what the tests of engine and contract share.
	testKit = []string{"provider/providertest", "storagetest"}
)

var packageRules = []packageRule{
	{pkg: "cmd/vault-plugin-secrets-vendorauth", may: []string{"backend"}, names: []string{"api.*", "plugin.*"}},
	{pkg: "cmd/vendor-emulator", may: []string{"emulator", "emulator/all"}, names: server},

	{
		pkg: "backend", may: []string{"input", "lease", "probe", "rotation", "pool", "metrics", "store", "ledger", "marker", "worker", "failpoint", "provider"},
		tests: []string{"provider/providertest", "emulator", "emulator/all", "emulator/vendorfacts", "storagetest"},
		names: []string{"logical.*", "framework.*", "consts.*", "http.Status*", "rotation.DefaultScheduler"},
	},
	{pkg: "input", may: []string{"provider"}, names: fieldNames},
	{pkg: "lease", may: []string{"pool", "store", "ledger", "marker", "failpoint", "provider"}, tests: testKit, names: engineNames},
	{pkg: "rotation", may: []string{"pool", "store", "marker", "failpoint", "provider"}, tests: testKit, names: engineNames},
	{pkg: "pool", may: []string{"metrics", "store", "failpoint", "provider"}, tests: testKit, names: engineNames},
	{pkg: "metrics", may: []string{"provider"}},
	{pkg: "store", may: []string{"failpoint", "provider"}, tests: testKit, names: slices.Concat(engineNames, []string{"rotation.DefaultScheduler"})},
	{pkg: "ledger", tests: testKit, names: []string{"logical.*"}},
	{pkg: "marker", tests: testKit, names: []string{"logical.*"}},
	{pkg: "worker", may: []string{"provider"}, tests: testKit},
	{pkg: "probe", may: []string{"provider"}, tests: testKit},
	{pkg: "failpoint"},

	{pkg: "provider", tests: testKit, names: fieldNames},
	{pkg: "provider/httpclient", may: []string{"provider"}, tests: testKit, names: slices.Concat(server, []string{"httptrace.*"})},
	{
		pkg: "provider/<vendor>", may: []string{"provider", "provider/httpclient"},
		tests: []string{"provider/providertest", "emulator", "emulator/emulatortest", "emulator/vendorfacts", "emulator/<vendor>"}, names: driver,
	},
	{
		pkg: "provider/providertest", may: []string{"provider", "probe", "emulator", "emulator/emulatortest", "emulator/vendorfacts"},
		names: slices.Concat(server, fieldNames),
	},

	{pkg: "emulator", tests: []string{"emulator/<vendor>"}, names: server},
	{pkg: "emulator/<vendor>", may: []string{"emulator"}, tests: []string{"emulator/emulatortest"}, names: []string{"http.*"}},
	{pkg: "emulator/all", may: []string{"emulator", "emulator/<vendor>"}},
	{pkg: "emulator/vendorfacts", tests: []string{"emulator", "emulator/all", "emulator/emulatortest"}, names: []string{"http.*"}},
	{pkg: "emulator/emulatortest", may: []string{"emulator"}, names: server},
	{pkg: "storagetest", names: []string{"logical.*"}},

	// The scripts start the programs of cmd and speak HTTP to them, so that they test what is delivered.
	{pkg: "scripts/...", may: []string{"scripts/devserver", "emulator/vendorfacts"}, names: []string{"api.*", "http.*", "httptest.*", "net.*"}},
	{pkg: nullEngine, names: []string{"api.*", "plugin.*", "logical.*", "framework.*", "http.*"}},
}

// nullEngine is the one plugin among the scripts: the benchmark compares the engine with it.
const nullEngine = "scripts/bench/nullengine"

// testSupport are the packages that only tests and each other import.
var testSupport = []string{"provider/providertest", "emulator/emulatortest", "storagetest"}

// registryFile is the one file of the engine that names vendors.
const registryFile = "backend/registry.go"

// root is the root of the repository. Each test changes to it, so that it reads files by the names that make and
// git use, and so that go test knows them and does not take a cached result after a change.
const root = "../.."

func TestImports_EveryFile_StaysWithinItsRule(t *testing.T) {
	t.Chdir(root)
	vendors := listVendors(t)
	for _, file := range parseTree(t) {
		rule, vendor, ok := ruleOf(file.pkg, vendors)
		if !ok {
			t.Errorf("%s: package %s has no rule: add one here, and a row to docs/architecture.md", file.path, file.pkg)
			continue
		}
		for _, imported := range file.imports {
			if !file.mayImport(rule, vendor, imported, vendors) {
				t.Errorf("%s: %s must not import %s; its rule: %q", file.path, file.pkg, imported, rule.may)
			}
		}
		for _, name := range file.names {
			if !file.isTest && !matchesAny(rule.names, name) {
				t.Errorf("%s: %s must not use %s", file.path, file.pkg, name)
			}
		}
	}
}

func TestImports_TestSupport_IsNotPartOfAProgram(t *testing.T) {
	t.Chdir(root)
	for _, file := range parseTree(t) {
		if file.isTest || slices.Contains(testSupport, file.pkg) {
			continue
		}
		for _, imported := range file.imports {
			assert.NotContains(t, testSupport, imported, "%s imports a package that is for tests", file.path)
		}
	}
}

func TestEngine_Source_NamesNoVendor(t *testing.T) {
	t.Chdir(root)
	vendors := listVendors(t)
	require.NotEmpty(t, vendors)
	for _, file := range parseTree(t) {
		isEngine := file.pkg == "backend" || !strings.Contains(file.pkg, "/") && file.pkg != "emulator"
		if !isEngine || file.isTest || file.path == registryFile {
			continue
		}
		for _, literal := range file.literals {
			assert.NotContains(t, vendors, literal, "%s: a decision by vendor belongs into the vendor's package", file.path)
		}
	}
}

func TestImports_ArchitecturePage_AgreesWithTheRules(t *testing.T) {
	t.Chdir(root)
	documented := readArchitectureTable(t)
	for _, rule := range packageRules {
		if strings.HasPrefix(rule.pkg, "scripts/") {
			continue
		}
		may, ok := documented[rule.pkg]
		if assert.True(t, ok, "docs/architecture.md has no row for %s", rule.pkg) {
			assert.ElementsMatch(t, rule.may, may, "docs/architecture.md, row %s", rule.pkg)
		}
		delete(documented, rule.pkg)
	}
	assert.Empty(t, documented, "docs/architecture.md has rows of packages without a rule")
}

// sourceFile is what a Go file imports and names.
type sourceFile struct {
	path, pkg string
	isTest    bool
	// imports are packages of this module, in the form of packageRule.
	imports []string
	// names are what the file uses of guarded packages, such as "framework.FieldData".
	names []string
	// literals are the values of its string literals.
	literals []string
}

// mayImport reports whether the file's rule allows an import. vendor is the file's own, if it belongs to one.
func (f *sourceFile) mayImport(rule *packageRule, vendor, imported string, vendors []string) bool {
	if f.path == registryFile && path.Dir(imported) == "provider" && slices.Contains(vendors, path.Base(imported)) {
		return true
	}
	allowed := rule.may
	if f.isTest {
		allowed = slices.Concat(allowed, rule.tests, []string{rule.pkg})
	}
	for _, name := range allowed {
		if name == imported || vendor != "" && strings.ReplaceAll(name, "<vendor>", vendor) == imported {
			return true
		}
		// A package that belongs to no vendor may name all of them.
		dir, isAnyVendor := strings.CutSuffix(name, "/<vendor>")
		if vendor == "" && isAnyVendor && path.Dir(imported) == dir && slices.Contains(vendors, path.Base(imported)) {
			return true
		}
	}
	return false
}

// ruleOf returns the rule for a package, and the vendor if the package is one vendor's.
func ruleOf(pkg string, vendors []string) (rule *packageRule, vendor string, ok bool) {
	pattern := pkg
	if base := path.Base(pkg); slices.Contains(vendors, base) && !strings.HasPrefix(pkg, "scripts/") {
		pattern, vendor = path.Dir(pkg)+"/<vendor>", base
	} else if strings.HasPrefix(pkg, "scripts/") && pkg != nullEngine {
		pattern = "scripts/..."
	}
	at := slices.IndexFunc(packageRules, func(r packageRule) bool { return r.pkg == pattern })
	if at < 0 {
		return nil, "", false
	}
	return &packageRules[at], vendor, true
}

// listVendors returns the vendors of registry.go: what it imports below provider.
func listVendors(t *testing.T) []string {
	t.Helper()
	var vendors []string
	for _, imported := range parseFile(t, registryFile).imports {
		if path.Dir(imported) == "provider" {
			vendors = append(vendors, path.Base(imported))
		}
	}
	require.NotEmpty(t, vendors, "%s imports no vendor", registryFile)
	return vendors
}

// parseTree parses all Go files of the module, whatever their build constraints.
func parseTree(t *testing.T) []*sourceFile {
	t.Helper()
	var files []*sourceFile
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && !isSourceDir(name):
			return filepath.SkipDir
		case !entry.IsDir() && path.Ext(name) == ".go":
			files = append(files, parseFile(t, filepath.ToSlash(name)))
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(files), 100, "the walk has missed files")
	return files
}

// isSourceDir reports whether a directory can hold packages of this module.
func isSourceDir(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || base == "testdata" || dir == "bin" || dir == "dist" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return errors.Is(err, fs.ErrNotExist)
}

func parseFile(t *testing.T, name string) *sourceFile {
	t.Helper()
	source, err := os.ReadFile(name)
	require.NoError(t, err)
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
	require.NoError(t, err)
	file := &sourceFile{path: name, pkg: shortName(path.Dir(name)), isTest: strings.HasSuffix(name, "_test.go")}
	guarded := make(map[string]string)
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		switch {
		case imported == module || strings.HasPrefix(imported, module+"/"):
			file.imports = append(file.imports, shortName(strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")))
		case isGuarded(imported):
			if local == "." || local == "_" {
				file.names = append(file.names, imported+" imported as "+local)
			}
			guarded[local] = path.Base(imported)
		}
	}
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			if from, ok := node.X.(*ast.Ident); ok && guarded[from.Name] != "" {
				file.names = append(file.names, guarded[from.Name]+"."+node.Sel.Name)
			}
		case *ast.BasicLit:
			if value, err := strconv.Unquote(node.Value); err == nil && node.Kind == token.STRING {
				file.literals = append(file.literals, value)
			}
		}
		return true
	})
	return file
}

// isGuarded reports whether the rules list what may be used of a package that is not of this module.
func isGuarded(imported string) bool {
	return imported == "net" || imported == "net/http" || strings.HasPrefix(imported, "net/http/") ||
		strings.HasPrefix(imported, "github.com/hashicorp/vault/")
}

// shortName names a directory as packageRule does.
func shortName(dir string) string { return strings.TrimPrefix(dir, "backend/") }

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := path.Match(pattern, name)
		return err == nil && matched
	})
}

// readArchitectureTable returns the packages of the table and what they may import: the names in the third column
// up to its first semicolon.
func readArchitectureTable(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("docs/architecture.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "| Package | Subject | May import |\n|---|---|---|\n")
	require.True(t, found, "docs/architecture.md has no table of packages")
	table := make(map[string][]string)
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		require.Len(t, cells, 3, "row %s", line)
		may, _, _ := strings.Cut(cells[2], ";")
		for _, pkg := range quotedNames(cells[0]) {
			require.NotContains(t, table, shortName(pkg), "two rows of one package")
			table[shortName(pkg)] = quotedNames(may)
		}
	}
	return table
}

// quotedNames returns what is between backquotes.
func quotedNames(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}
