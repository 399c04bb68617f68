package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const exampleSource = `package example

const limit = 2 * 60

var shorten = func(n int) int { return n - 1 }

func (c *Cache[K]) grow(a, b int) int {
	switch {
	case a > b:
		return a - b
	case a < b && b > 1:
		return b - a
	}
	return 0
}

func same(a, b int) bool { return a == b || a == b }
`

// writeExample writes the example as a module's package and returns the root of the module.
func writeExample(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "example"), 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module test.invalid/m\n\ngo 1.26\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "example", "a.go"), []byte(exampleSource), 0o600))
	return root
}

func TestParseReport_Mutants_AreNamedByFunctionTextAndNumber(t *testing.T) {
	data := `{"files":[{"file_name":"a.go","mutations":[
		{"type":"CONDITIONALS_NEGATION","status":"LIVED","line":17,"column":49},
		{"type":"CONDITIONALS_NEGATION","status":"KILLED","line":17,"column":39},
		{"type":"ARITHMETIC_BASE","status":"NOT COVERED","line":3,"column":17},
		{"type":"ARITHMETIC_BASE","status":"LIVED","line":5,"column":42},
		{"type":"ARITHMETIC_BASE","status":"KILLED","line":10,"column":12}]}]}`
	mutants, err := parseReport([]byte(data), writeExample(t), "example")
	require.NoError(t, err)
	var got []string
	for _, m := range mutants {
		got = append(got, m.status+" "+m.String())
	}
	assert.Equal(t, []string{
		"NOT COVERED example/a.go - ARITHMETIC_BASE 1\n    const limit = 2 * 60",
		"LIVED example/a.go func ARITHMETIC_BASE 1\n    var shorten = func(n int) int { return n - 1 }",
		"KILLED example/a.go Cache.grow ARITHMETIC_BASE 1\n    return a - b",
		"KILLED example/a.go same CONDITIONALS_NEGATION 1\n    func same(a, b int) bool { return a == b || a == b }",
		"LIVED example/a.go same CONDITIONALS_NEGATION 2\n    func same(a, b int) bool { return a == b || a == b }",
	}, got)
}

func TestParseReport_NotJSON_IsAnError(t *testing.T) {
	_, err := parseReport([]byte("killed"), t.TempDir(), "example")
	assert.ErrorContains(t, err, "report of gremlins")
}

func TestEquivalents_List_IsReadWithReasons(t *testing.T) {
	list, err := parseEquivalents(`# a comment
a/b.go Type.name ARITHMETIC_BASE 2
    x := 1 + y
    Reason: y is 0
    here.

a/c/d.go - INVERT_NEGATIVES 1
    const x = -0
    Reason: zero has no sign.
`)
	require.NoError(t, err)
	first := identity{file: "a/b.go", function: "Type.name", kind: "ARITHMETIC_BASE", text: "x := 1 + y", ordinal: 2}
	second := identity{file: "a/c/d.go", function: "-", kind: "INVERT_NEGATIVES", text: "const x = -0", ordinal: 1}
	assert.Equal(t, equivalents{first: "y is 0 here.", second: "zero has no sign."}, list)
	assert.Equal(t, equivalents{first: "y is 0 here."}, list.of("a"), "a package does not include those below it")
}

func TestEquivalents_PrintedSurvivor_CanBeListed(t *testing.T) {
	id := identity{file: "a/b.go", function: "Type.name", kind: "ARITHMETIC_BASE", text: "x := 1 + y", ordinal: 2}
	list, err := parseEquivalents(id.String() + "\n    Reason: y is 0.\n")
	require.NoError(t, err)
	assert.Contains(t, list, id)
}

func TestEquivalents_Malformed_NamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"\n    x := 1\n": "line 2: an entry starts with",
		"a.go f ARITHMETIC_BASE\n    x\n    Reason: y\n":                  "line 1: \"a.go f ARITHMETIC_BASE\" does not have the form",
		"a.go f ARITHMETIC_BASE 0\n    x\n    Reason: y\n":                "line 1: \"0\" is not a number",
		"a.go f ARITHMETIC_BASE 1\n    x\n":                               "line 1: the entry lacks",
		"a.go f ARITHMETIC_BASE 1\n    x\n    y\n":                        "line 1: the entry lacks",
		strings.Repeat("a.go f ARITHMETIC_BASE 1\n  x\n  Reason: y\n", 2): "line 4: the mutant is listed twice",
	} {
		_, err := parseEquivalents(text)
		assert.ErrorContains(t, err, want, "list %q", text)
	}
}

// A change of the source must not leave an entry behind. make mutation notices that too, but it does not run for each change.
func TestEquivalents_ListOfTheProject_NamesSourceLines(t *testing.T) {
	list, err := readEquivalents("equivalent.txt")
	require.NoError(t, err)
	for id, reason := range list {
		assert.NotEmpty(t, reason, "%s has no reason", id)
		source, err := parseSource(filepath.Join("../..", id.file))
		if !assert.NoError(t, err) {
			continue
		}
		found := false
		for number := range source.lines {
			line := number + 1
			column := strings.Index(source.lines[number], id.text) + 1
			found = found || column > 0 && source.line(line) == id.text && source.functionAt(line, column) == id.function
		}
		assert.True(t, found, "no such line in this function: %s", id)
	}
}

// mutantOf returns a mutant of its own function.
func mutantOf(function, status string) mutant {
	return mutant{identity: identity{file: "p/a.go", function: function, kind: "ARITHMETIC_BASE", text: "x", ordinal: 1}, status: status}
}

func TestEvaluate_Mutants_AreCountedByStatus(t *testing.T) {
	listed := equivalents{mutantOf("equal", "").identity: "reason", mutantOf("unreachable", "").identity: "reason"}
	r := evaluate([]mutant{
		mutantOf("a", statusKilled), mutantOf("b", statusTimedOut), mutantOf("c", statusKilled),
		mutantOf("d", statusLived), mutantOf("equal", statusLived),
		mutantOf("e", statusNotCovered), mutantOf("unreachable", statusNotCovered),
		mutantOf("-", statusNotCovered), mutantOf("f", "NOT VIABLE"),
	}, listed)
	assert.Equal(t, 3, r.killed)
	assert.Equal(t, 1, r.timedOut)
	assert.Equal(t, []mutant{mutantOf("d", statusLived)}, r.survivors)
	assert.Equal(t, []mutant{mutantOf("e", statusNotCovered)}, r.uncovered)
	assert.Equal(t, 2, r.equivalent)
	assert.Equal(t, 1, r.unmeasured)
	assert.Empty(t, r.outdated)
	assert.InDelta(t, 75, r.killedPercent(), 0.01)
	assert.InDelta(t, 80, r.coveredPercent(), 0.01)
	assert.False(t, r.ok())
}

func TestEvaluate_EntryOfKilledOrMissing_IsOutdated(t *testing.T) {
	listed := equivalents{mutantOf("killed", "").identity: "reason", mutantOf("gone", "").identity: "reason"}
	r := evaluate([]mutant{mutantOf("killed", statusKilled)}, listed)
	assert.Equal(t, map[identity]string{
		mutantOf("killed", "").identity: "is killed", mutantOf("gone", "").identity: "does not exist",
	}, r.outdated)
	assert.False(t, r.ok(), "an outdated list fails even if the aims are reached")

	var out strings.Builder
	r.print(&out, "list.txt", time.Minute)
	assert.Contains(t, out.String(), "the mutant does not exist: p/a.go gone ARITHMETIC_BASE 1: x")
	assert.Contains(t, out.String(), "delete the outdated entries from list.txt")
}

func TestResult_Aims_IncludeTheLimit(t *testing.T) {
	kills := func(n int) []mutant {
		var mutants []mutant
		for range n {
			mutants = append(mutants, mutantOf("a", statusKilled))
		}
		return mutants
	}
	for _, test := range []struct {
		mutants []mutant
		ok      bool
	}{
		{nil, true},
		{append(kills(19), mutantOf("b", statusLived)), true},
		{append(kills(18), mutantOf("b", statusLived)), false},
		{append(kills(19), mutantOf("b", statusNotCovered)), true},
		{append(kills(18), mutantOf("b", statusNotCovered)), false},
	} {
		r := evaluate(test.mutants, nil)
		assert.Equal(t, test.ok, r.ok(), "killed %.1f, covered %.1f", r.killedPercent(), r.coveredPercent())
	}
}

func TestResult_Survivor_IsPrintedWithTheNextStep(t *testing.T) {
	r := evaluate([]mutant{mutantOf("b", statusLived), mutantOf("c", statusNotCovered)}, nil)
	var out strings.Builder
	r.print(&out, "list.txt", time.Minute)
	for _, want := range []string{"p/a.go b ARITHMETIC_BASE 1", "write a test of the behaviour", "list.txt, with the reason", "runs the lines"} {
		assert.Contains(t, out.String(), want)
	}
}

func TestProgress_Survivor_HasThePathOfItsFile(t *testing.T) {
	var out strings.Builder
	lines := []string{"Gathering coverage... done", " NOT COVERED ARITHMETIC_BASE at b.go:1:2", "       LIVED ARITHMETIC_BASE at a.go:3:4"}
	for range progressInterval - 1 {
		lines = append(lines, "      KILLED ARITHMETIC_BASE at a.go:5:6")
	}
	printProgress(&out, strings.NewReader(strings.Join(append(lines, "Mutation testing completed"), "\n")), "p/q")
	assert.Equal(t, "    Gathering coverage... done\n    LIVED ARITHMETIC_BASE at p/q/a.go:3:4\n    25 mutants tested\n", out.String())
}

func TestProfile_ConditionsOfCoveredSwitch_AreAdded(t *testing.T) {
	root := writeExample(t)
	t.Chdir(root)
	profile := filepath.Join(root, "coverage")
	const covered = "mode: set\ntest.invalid/m/example/a.go:7.39,8.9 1 1\n"
	require.NoError(t, os.WriteFile(profile, []byte(covered), 0o600))
	require.NoError(t, completeProfile(profile))
	data, err := os.ReadFile(profile)
	require.NoError(t, err)
	assert.Equal(t, covered+"test.invalid/m/example/a.go:9.2,9.12 1 1\ntest.invalid/m/example/a.go:11.2,11.21 1 1\n", string(data))
}

func TestProfile_SwitchThatWasNotRun_StaysUncovered(t *testing.T) {
	root := writeExample(t)
	t.Chdir(root)
	profile := filepath.Join(root, "coverage")
	const uncovered = "mode: set\ntest.invalid/m/example/a.go:7.39,8.9 1 0\ntest.invalid/m/example/a.go:17.26,17.53 1 1\n"
	require.NoError(t, os.WriteFile(profile, []byte(uncovered), 0o600))
	require.NoError(t, completeProfile(profile))
	data, err := os.ReadFile(profile)
	require.NoError(t, err)
	assert.Equal(t, uncovered, string(data))
}

func TestProfile_MalformedLine_IsAnError(t *testing.T) {
	_, _, err := parseProfile("mode: set\nnonsense\n")
	assert.ErrorContains(t, err, `"nonsense"`)
}

func TestGoCommand_ProgramName_DecidesTheRole(t *testing.T) {
	assert.True(t, isGoCommand("/tmp/mutation-go-1/go"))
	assert.True(t, isGoCommand("go"))
	assert.False(t, isGoCommand("bin/mutation-test"))
}

func TestGoCommand_Link_IsFirstInThePath(t *testing.T) {
	environ, remove, err := goCommandEnviron()
	require.NoError(t, err)
	var link string
	for _, entry := range environ {
		if search, ok := strings.CutPrefix(entry, "PATH="); ok {
			link = filepath.Join(filepath.SplitList(search)[0], "go")
		}
	}
	assert.FileExists(t, link)
	remove()
	assert.NoFileExists(t, link)
}
