package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// sample replaces plain words, so that this file breaks no rule itself.
const sample = `
[identifiers]
oldName|OldType => newName
[english]
the pots? => the kettle
[allowed]
docs/*.md => "the pot"
`

func TestVocabulary_Words_AreFoundWhereTheyStand(t *testing.T) {
	for content, want := range map[string][]string{
		"x := oldName()":                  {`a.go:1: "oldName": instead: newName`},
		"var a OldType\nvar b OldType":    {`a.go:1: "OldType": instead: newName`, `a.go:2: "OldType": instead: newName`},
		"x := oldNames(); y := oldname":   nil,
		"// It is in The Pot.":            {`a.go:1: "The Pot": instead: the kettle`},
		"func TestTea_IsInThePot_Boils()": {`a.go:1: "The Pot": instead: the kettle`},
		"is_in_the_pots = 1":              {`a.go:1: "the pots": instead: the kettle`},
		"// It is in the\n// pot now.":    {`a.go:1: "the pot": instead: the kettle`},
		"the\n\npot":                      nil,
		"the potato":                      nil,
		"the\nkettle, the pot":            {`a.go:2: "the pot": instead: the kettle`},
	} {
		words, err := parseVocabulary(sample)
		require.NoError(t, err)
		var found []string
		for _, f := range words.check("a.go", content) {
			found = append(found, f.String())
		}
		require.Equal(t, want, found, content)
	}
}

func TestVocabulary_Allowance_CoversItsTextInItsFiles(t *testing.T) {
	words, err := parseVocabulary(sample)
	require.NoError(t, err)
	require.Len(t, words.unusedAllowances(), 1)

	require.Empty(t, words.check("docs/tea.md", `The device answers "the pot".`))
	require.Empty(t, words.unusedAllowances())

	require.Len(t, words.check("docs/tea.md", `It is in the pot.`), 1)
	require.Len(t, words.check("README.md", `The device answers "the pot".`), 1)
}

func TestVocabulary_BadRule_IsAnErrorThatNamesTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"[english]\nword":         "vocabulary.txt:2",
		"[english]\n(word => one": "vocabulary.txt:2",
		"word => one":             "unknown section",
	} {
		_, err := parseVocabulary(text)
		require.ErrorContains(t, err, want)
	}
}

func TestCheckFileLength_Limit_IsTheLastThatPasses(t *testing.T) {
	require.Empty(t, checkFileLength("a.go", strings.Repeat("\n", maxFileLines)))
	require.Len(t, checkFileLength("a.go", strings.Repeat("\n", maxFileLines+1)), 1)
}

func TestCheckTestNames_Limit_IsTheLastThatPasses(t *testing.T) {
	long := "TestA_" + strings.Repeat("b", maxTestName-len("TestA_"))
	require.Empty(t, checkTestNames("a_test.go", "func "+long+"(t *testing.T) {\n"))
	require.Equal(t, []finding{{"a_test.go", 2, "name of 61 characters, at most 60: " + long + "b"}},
		checkTestNames("a_test.go", "\nfunc "+long+"b(t *testing.T) {\n"))
	require.Empty(t, checkTestNames("a.go", "func "+long+"b(t *testing.T) {\n"))
	require.Empty(t, checkTestNames("a_test.go", "func helper"+long+"(t *testing.T) {\n"))
}

func TestIsChecked_GeneratedAndForeignFiles_AreNot(t *testing.T) {
	for file, want := range map[string]bool{
		"backend/backend.go": true, "README.md": true, "Makefile": true, ".ci/run": true, "scripts/examples/policy.hcl": true,
		"LICENSE": false, "go.sum": false, "backend/provider/trend/testdata/answer.md": false, "scripts/lint/vocabulary.txt": false,
	} {
		require.Equal(t, want, isChecked(file), file)
	}
}

func TestCompileWord_Literals_ArePartOfEveryMatch(t *testing.T) {
	for expression, want := range map[string][]string{
		"teapot":                       {"teapot"},
		"[lL]easeName":                 {"easename"},
		"root_name|OtherName":          {"root", "othername"},
		"(?:the|its) kettles?":         {"kettle"},
		"(?:give|gave)s?":              {"give", "gave"},
		"a+(?: b)?":                    {"a"},
		"(?:x)?":                       nil,
		"abc|(?:d)*":                   nil,
		"keeps? (?:\\w+ )?(?:it|them)": {"keep"},
	} {
		_, literals, err := compileWord(expression, true)
		require.NoError(t, err)
		for _, literal := range want {
			require.True(t, slices.ContainsFunc(literals, func(l string) bool { return strings.Contains(literal, l) }), "%s: %q", expression, literals)
		}
		require.Equal(t, want == nil, literals == nil, "%s: %q", expression, literals)
	}
}
