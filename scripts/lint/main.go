// Command lint checks what golangci-lint has no rule for: the length of files and of test names, and the words
// that this project replaced by standard ones (vocabulary.txt). It runs at the root of the repository, prints one
// line for each finding, and exits with status 1 if there is one.
//
// The test of this package checks which package imports which.
package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

//go:embed vocabulary.txt
var vocabularyText string

// finding is one line that breaks a rule.
type finding struct {
	file string
	line int
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s", f.file, f.line, f.text) }

func main() {
	findings, err := run(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(2)
	}
	for _, found := range findings {
		fmt.Println(found)
	}
	if len(findings) > 0 {
		fmt.Fprintf(os.Stderr, "lint: %d findings\n", len(findings))
		os.Exit(1)
	}
}

// run checks every file of the repository in the working directory.
func run(ctx context.Context) ([]finding, error) {
	words, err := parseVocabulary(vocabularyText)
	if err != nil {
		return nil, err
	}
	files, err := listFiles(ctx)
	if err != nil {
		return nil, err
	}
	var findings []finding
	for _, file := range files {
		if !isChecked(file) {
			continue
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		findings = append(findings, words.check(file, string(content))...)
		if path.Ext(file) == ".go" {
			findings = append(findings, checkFileLength(file, string(content))...)
			findings = append(findings, checkTestNames(file, string(content))...)
		}
	}
	findings = append(findings, words.unusedAllowances()...)
	slices.SortStableFunc(findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	return findings, nil
}

// listFiles returns the files that git tracks, and new ones that it does not ignore. A file that is deleted but
// still in the index is left out.
func listFiles(ctx context.Context) ([]string, error) {
	output, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("listing the files with git: %w", err)
	}
	var files []string
	for name := range bytes.SplitSeq(output, []byte{0}) {
		if info, err := os.Stat(string(name)); err == nil && info.Mode().IsRegular() {
			files = append(files, string(name))
		}
	}
	return files, nil
}

// isChecked reports whether people read and write the file. Test data and the license text are not checked.
func isChecked(file string) bool {
	if strings.Contains(file, "/testdata/") {
		return false
	}
	switch path.Ext(file) {
	case ".go", ".md", ".sh", ".yml", ".yaml", ".hcl", ".tf", ".ctmpl", ".py":
		return true
	}
	return path.Base(file) == "Makefile" || file == ".ci/run"
}
