package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is a fenced block of a page.
type block struct {
	line     int    // number of its first line of text
	language string // after the opening fence
	text     string
	notRun   string // the reason why its commands are not executed, from the comment before it
	file     string // the file that it quotes, from the comment before it
}

var (
	notRunComment = regexp.MustCompile(`^<!-- not run: (.+) -->$`)
	fileComment   = regexp.MustCompile(`^<!-- file: (\S+) -->$`)
)

// parseBlocks reads the fenced blocks of a page. A comment about a block is on the line before it.
func parseBlocks(page string) ([]block, error) {
	var blocks []block
	var open *block
	before := ""
	for number, line := range strings.Split(page, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		case isFence:
			open = &block{line: number + 2, language: fence}
			if found := notRunComment.FindStringSubmatch(before); found != nil {
				open.notRun = found[1]
			}
			if found := fileComment.FindStringSubmatch(before); found != nil {
				open.file = found[1]
			}
		}
		before = line
	}
	if open != nil {
		return nil, fmt.Errorf("the block of line %d is not closed", open.line)
	}
	return blocks, nil
}

// shellNames are the languages of a block of commands. All but the first are refused, so that the test finds every block.
var shellNames = []string{"sh", "bash", "shell", "console", "zsh"}

// readPages returns the blocks of the README and of all pages under docs, by path.
func readPages(t *testing.T) map[string][]block {
	t.Helper()
	root := repository(t)
	pages := map[string][]block{}
	add := func(path string) {
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		blocks, err := parseBlocks(string(text))
		require.NoError(t, err, path)
		pages[path] = blocks
	}
	add("README.md")
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			add(path)
		}
		return err
	})
	require.NoError(t, err)
	return pages
}

// repository is the root of the working copy.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	return root
}

func TestParseBlocks_Comment_AppliesToTheNextLine(t *testing.T) {
	blocks, err := parseBlocks("# x\n<!-- not run: no machine -->\n```sh\na\n```\n```sh\nb\nc\n```\n" +
		"<!-- not run: x -->\n\n```sh\n```\n<!-- file: a/b.hcl -->\n```hcl\nd\n```\n")
	require.NoError(t, err)
	require.Equal(t, []block{
		{line: 4, language: "sh", text: "a\n", notRun: "no machine"},
		{line: 7, language: "sh", text: "b\nc\n"},
		{line: 13, language: "sh"},
		{line: 16, language: "hcl", text: "d\n", file: "a/b.hcl"},
	}, blocks)
	_, err = parseBlocks("```sh\nx")
	require.Error(t, err)
}

func TestDocs_QuotedFile_EqualsTheFile(t *testing.T) {
	quoted := 0
	for path, blocks := range readPages(t) {
		for _, b := range blocks {
			if b.file == "" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(repository(t), b.file))
			require.NoError(t, err, "%s:%d", path, b.line)
			require.Equal(t, string(text), b.text, "%s:%d quotes %s", path, b.line, b.file)
			quoted++
		}
	}
	require.NotZero(t, quoted)
}

var (
	// link matches a link to a page or file of the repository, and to a heading.
	link = regexp.MustCompile(`\]\(([^)#:\s]*)(#[^)\s]*)?\)`)
	// heading matches a heading, and notInAnchor the characters that its anchor leaves out.
	heading     = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns the names by which links refer to the headings of a page.
func anchors(page string) []string {
	var names []string
	for _, found := range heading.FindAllStringSubmatch(page, -1) {
		name := notInAnchor.ReplaceAllString(strings.ToLower(found[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

func TestDocs_Link_HasATarget(t *testing.T) {
	root := repository(t)
	for path := range readPages(t) {
		text, err := os.ReadFile(filepath.Join(root, path))
		require.NoError(t, err)
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target, anchor := path, strings.TrimPrefix(found[2], "#")
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(path), found[1])
			}
			info, err := os.Stat(filepath.Join(root, target))
			require.NoError(t, err, "%s links to %s", path, found[1])
			if anchor == "" || info.IsDir() {
				continue
			}
			page, err := os.ReadFile(filepath.Join(root, target))
			require.NoError(t, err)
			require.Contains(t, anchors(string(page)), anchor, "%s links to %s", path, found[0])
		}
	}
}

func TestDocs_Page_IsInTheIndex(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(repository(t), "docs", "README.md"))
	require.NoError(t, err)
	linked := map[string]bool{"docs/README.md": true}
	for _, found := range link.FindAllStringSubmatch(string(index), -1) {
		linked[filepath.Join("docs", found[1])] = true
	}
	for path := range readPages(t) {
		if ok, err := filepath.Match("docs/decisions/0*.md", path); err != nil || ok {
			continue // the page of the decisions lists them
		}
		require.True(t, linked[path] || path == "README.md", "docs/README.md has no link to %s", path)
	}
}

// alertName matches the name of an alert in the rules.
var alertName = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)

func TestDocs_Alert_HasARunbook(t *testing.T) {
	rules, err := os.ReadFile(filepath.Join(repository(t), "scripts", "monitoring", "rules.yml"))
	require.NoError(t, err)
	alerts := alertName.FindAllStringSubmatch(string(rules), -1)
	require.NotEmpty(t, alerts)
	for _, page := range []string{"monitoring.md", "runbooks.md"} {
		text, err := os.ReadFile(filepath.Join(repository(t), "docs", page))
		require.NoError(t, err)
		for _, alert := range alerts {
			require.True(t, strings.Contains(string(text), "`"+alert[1]+"`"), "%s does not name %s", page, alert[1])
		}
	}
}
