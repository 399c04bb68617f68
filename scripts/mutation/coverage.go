package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// gremlins tests a mutant only if a coverage profile contains its position, and Go's profiles leave out the conditions of the
// cases of a switch. So gremlins starts, in place of go, a link to this program: it runs go, and then adds the conditions to
// the profile. A condition counts as covered if the switch is.

// realGo is the environment variable that holds the path of go for the link.
const realGo = "VENDORAUTH_MUTATION_GO"

// isGoCommand reports whether the program was started under the name go.
func isGoCommand(program string) bool {
	return strings.TrimSuffix(filepath.Base(program), ".exe") == "go"
}

// goCommandEnviron returns the environment in which go is the link, and the function that removes the link.
func goCommandEnviron() (environ []string, remove func(), err error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "mutation-go-")
	if err != nil {
		return nil, nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	if err := os.Symlink(self, filepath.Join(dir, "go")); err != nil {
		remove()
		return nil, nil, err
	}
	search := dir + string(os.PathListSeparator) + os.Getenv("PATH")
	return append(os.Environ(), realGo+"="+tool, "PATH="+search), remove, nil
}

// runGoCommand runs go with the arguments, completes the coverage profile if they name one, and returns the exit code.
func runGoCommand(args []string) int {
	cmd := exec.Command(os.Getenv(realGo), args...) //nolint:noctx // The caller ends the process group.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		fmt.Fprintln(os.Stderr, "mutation:", err)
		return 1
	}
	if at := slices.Index(args, "-coverprofile"); at >= 0 && at+1 < len(args) {
		if err := completeProfile(args[at+1]); err != nil {
			fmt.Fprintln(os.Stderr, "mutation: complete the coverage profile:", err)
			return 1
		}
	}
	return 0
}

// completeProfile adds the conditions of switches to a coverage profile of files below the current directory.
func completeProfile(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	blocks, names, err := parseProfile(string(data))
	if err != nil {
		return err
	}
	module, err := moduleName("go.mod")
	if err != nil {
		return err
	}
	added := bytes.NewBuffer(data)
	for _, name := range names {
		source, err := parseSource(filepath.FromSlash(strings.TrimPrefix(name, module+"/")))
		if err != nil {
			return err
		}
		for _, c := range source.caseConditions(blocks[name]) {
			fmt.Fprintf(added, "%s:%d.%d,%d.%d 1 1\n", name, c.startLine, c.startColumn, c.endLine, c.endColumn)
		}
	}
	return os.WriteFile(file, added.Bytes(), 0o600)
}

// moduleName returns the path of the module of a go.mod file.
func moduleName(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s names no module", file)
}

// block is a stretch of source that tests have run.
type block struct{ startLine, startColumn, endLine, endColumn int }

func (b block) contains(at token.Position) bool {
	return (at.Line > b.startLine || at.Line == b.startLine && at.Column >= b.startColumn) &&
		(at.Line < b.endLine || at.Line == b.endLine && at.Column <= b.endColumn)
}

// parseProfile returns the blocks of a coverage profile that were run, by file, and the names of the files in their order.
func parseProfile(text string) (blocks map[string][]block, names []string, err error) {
	blocks = make(map[string][]block)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "mode:") {
			continue
		}
		colon := strings.LastIndexByte(line, ':')
		var b block
		var statements, count int
		if _, err := fmt.Sscanf(line[colon+1:], "%d.%d,%d.%d %d %d", &b.startLine, &b.startColumn, &b.endLine, &b.endColumn,
			&statements, &count); err != nil || colon < 0 {
			return nil, nil, errors.New("the line " + strconv.Quote(line) + " is none of a coverage profile")
		}
		name := line[:colon]
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		if count > 0 {
			blocks[name] = append(blocks[name], b)
		}
	}
	return blocks, names, nil
}

// caseConditions returns where the conditions of the cases are whose switch is in a block.
func (s *sourceFile) caseConditions(covered []block) []block {
	var conditions []block
	ast.Inspect(s.file, func(node ast.Node) bool {
		statement, ok := node.(*ast.SwitchStmt)
		if !ok {
			return true
		}
		at := s.set.Position(statement.Switch)
		if !slices.ContainsFunc(covered, func(b block) bool { return b.contains(at) }) {
			return true
		}
		for _, child := range statement.Body.List {
			clause, ok := child.(*ast.CaseClause)
			if !ok || len(clause.List) == 0 {
				continue
			}
			start, end := s.set.Position(clause.Case), s.set.Position(clause.Colon)
			conditions = append(conditions, block{start.Line, start.Column, end.Line, end.Column})
		}
		return true
	})
	return conditions
}
