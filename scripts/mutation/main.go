// Command mutation runs mutation tests: it changes one operator of a package at a time and expects the package's own tests to
// fail. A mutant that no test notices shows code without a test.
//
// gremlins makes the mutants and runs the tests. The command adds what gremlins lacks: it also mutates the conditions of a
// switch, it knows the equivalent mutants, which no test can kill, and it checks the aims of the project.
//
// `make mutation` runs it from the root of the repository.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// packages are tested without arguments.
var packages = []string{
	"backend/ledger",
	"backend/store",
	"backend/pool",
	"backend/provider/httpclient",
	"backend/provider/lacework",
	"backend/provider/trend",
	"backend/provider/fortianalyzer",
	"backend/provider/fortisiem",
	"backend/provider/ftd",
}

// The aims, in percent of the mutants that the list of equivalents does not name.
const (
	aimKilled  = 95.0
	aimCovered = 95.0
)

// options are the command line.
type options struct {
	gremlins, list, reports string
	workers, timeout        int
	packages                []string
}

func main() {
	if isGoCommand(os.Args[0]) {
		os.Exit(runGoCommand(os.Args[1:]))
	}
	var opts options
	flag.StringVar(&opts.gremlins, "gremlins", "", "path of the gremlins binary")
	flag.StringVar(&opts.list, "equivalents", "scripts/mutation/equivalent.txt", "list of the equivalent mutants")
	flag.StringVar(&opts.reports, "reports", "bin/mutation", "directory for the reports of gremlins")
	flag.IntVar(&opts.workers, "workers", 1, "number of mutants that are tested at the same time")
	flag.IntVar(&opts.timeout, "timeout", 5, "a mutant's tests may take this multiple of the time that the unchanged package needs")
	flag.Parse()
	opts.packages = flag.Args()
	if len(opts.packages) == 0 {
		opts.packages = packages
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

// run tests the packages one after the other and prints their results. It returns an error if a package misses an aim or the
// list of equivalents is outdated.
func run(ctx context.Context, out io.Writer, opts options) error {
	list, err := readEquivalents(opts.list)
	if err != nil {
		return err
	}
	tool, err := filepath.Abs(opts.gremlins)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath(tool); err != nil {
		return fmt.Errorf("gremlins is missing: run `make mutation`, which installs it: %w", err)
	}
	if err := os.MkdirAll(opts.reports, 0o750); err != nil {
		return err
	}
	tree, remove, err := copyTree(ctx)
	if err != nil {
		return err
	}
	defer remove()

	failed := false
	for _, pkg := range opts.packages {
		pkg = filepath.ToSlash(filepath.Clean(pkg))
		printf(out, "==> %s\n", pkg)
		started := time.Now()
		mutants, err := testPackage(ctx, out, tree, tool, pkg, opts)
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		result := evaluate(mutants, list.of(pkg))
		result.print(out, opts.list, time.Since(started))
		failed = failed || !result.ok()
	}
	if failed {
		return errors.New("an aim is missed or the list of equivalents is outdated: see above")
	}
	return nil
}
