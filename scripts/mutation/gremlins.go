package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// The statuses of a mutant that the command distinguishes, as gremlins writes them.
const (
	statusKilled     = "KILLED"
	statusLived      = "LIVED"
	statusTimedOut   = "TIMED OUT"
	statusNotCovered = "NOT COVERED"
)

// report is the part of gremlins' report that is used.
type report struct {
	Files []struct {
		Name    string `json:"file_name"` // relative to the package
		Mutants []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
			Line   int    `json:"line"`
			Column int    `json:"column"`
		} `json:"mutations"`
	} `json:"files"`
}

// copyTree copies the files that git lists into a temporary directory and returns it with the function that removes it. So
// gremlins, which copies the whole module for each worker, does not copy bin, and a change during the run has no influence.
func copyTree(ctx context.Context) (dir string, remove func(), err error) {
	output, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return "", nil, fmt.Errorf("list the files with git: %w", err)
	}
	dir, err = os.MkdirTemp("", "mutation-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	for name := range bytes.SplitSeq(output, []byte{0}) {
		if err := copyFile(dir, string(name)); err != nil {
			remove()
			return "", nil, fmt.Errorf("copy the source: %w", err)
		}
	}
	return dir, remove, nil
}

// copyFile copies a regular file to the same relative path below dir. It skips other files, and files that git still lists
// although they were deleted.
func copyFile(dir, name string) error {
	info, err := os.Lstat(name)
	if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	target := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
		return err
	}
	return os.WriteFile(target, data, info.Mode().Perm())
}

// testPackage runs gremlins on one package of the tree and returns the package's mutants.
func testPackage(ctx context.Context, out io.Writer, tree, tool, pkg string, opts options) ([]mutant, error) {
	reportFile, err := filepath.Abs(filepath.Join(opts.reports, strings.ReplaceAll(pkg, "/", "-")+".json"))
	if err != nil {
		return nil, err
	}
	// gremlins reports a failure in its output only, and leaves an old report as it is.
	if err := os.Remove(reportFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	environ, remove, err := goCommandEnviron()
	if err != nil {
		return nil, err
	}
	defer remove()
	cmd := exec.CommandContext(ctx, tool, "unleash", "./"+pkg, "--output", reportFile,
		"--workers", strconv.Itoa(opts.workers), "--timeout-coefficient", strconv.Itoa(opts.timeout))
	cmd.Dir = tree
	// Neither vet nor the symbol table is of use here, and each of the many test binaries needs time for both. A cached
	// result would make gremlins expect that the tests need no time, and stop them too early.
	environ = append(environ, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -vet=off -ldflags=-s -count=1"))
	cmd.Env = environ
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	printProgress(out, output, pkg)
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("gremlins: %w; run `go test ./%s`, since it needs tests that pass", err, pkg)
	}
	data, err := os.ReadFile(reportFile)
	if err != nil {
		return nil, fmt.Errorf("gremlins made no report; run `go test ./%s`, since it needs tests that pass: %w", pkg, err)
	}
	return parseReport(data, tree, pkg)
}

// progressInterval is the number of tested mutants from one line of progress to the next.
const progressInterval = 25

// printProgress prints the survivors and the number of tested mutants. A survivor is shown with the path of its file, so that an
// editor can open it.
func printProgress(out io.Writer, output io.Reader, pkg string) {
	tested := 0
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		rest, position, isMutant := strings.Cut(line, " at ")
		switch {
		case !isMutant:
			if line != "" && tested == 0 {
				printf(out, "    %s\n", line)
			}
			continue
		case strings.HasPrefix(rest, statusLived):
			printf(out, "    %s at %s\n", rest, path.Join(pkg, position))
		}
		if !strings.HasPrefix(rest, statusNotCovered) {
			tested++
			if tested%progressInterval == 0 {
				printf(out, "    %d mutants tested\n", tested)
			}
		}
	}
}

// parseReport returns the mutants of a report, with their places in the source of tree.
func parseReport(data []byte, tree, pkg string) ([]mutant, error) {
	var parsed report
	if err := json.Unmarshal(data, &parsed); err != nil {
		return nil, fmt.Errorf("read the report of gremlins: %w", err)
	}
	var mutants []mutant
	for _, file := range parsed.Files {
		name := path.Join(pkg, file.Name)
		source, err := parseSource(filepath.Join(tree, name))
		if err != nil {
			return nil, err
		}
		for _, reported := range file.Mutants {
			m := mutant{
				identity: identity{file: name, function: source.functionAt(reported.Line, reported.Column), kind: reported.Type, text: source.line(reported.Line)},
				status:   reported.Status, line: reported.Line, column: reported.Column,
			}
			mutants = append(mutants, m)
		}
	}
	number(mutants)
	return mutants, nil
}
