package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The published report: the page, and next to it the directory with the report and the plots.
const (
	pageName   = "performance.md"
	reportName = "performance.json"
)

// The tables of the page lie between two of these lines.
const (
	tableBegin = "<!-- table: %s -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// readReport reads a stored report.
func readReport(dir string) (report, error) {
	text, err := os.ReadFile(filepath.Join(dir, reportName))
	if err != nil {
		return report{}, fmt.Errorf("%w: run `make bench BENCHFLAGS='-out docs/performance'`", err)
	}
	var stored report
	return stored, json.Unmarshal(text, &stored)
}

// renderPage returns the page with its tables made from a report.
func renderPage(page string, from report) (string, error) {
	for name, table := range tablesOf(from) {
		begin := fmt.Sprintf(tableBegin, name)
		before, rest, found := strings.Cut(page, begin)
		_, after, closed := strings.Cut(rest, tableEnd)
		if !found || !closed {
			return "", fmt.Errorf("the page has no table %q between %q and %q", name, begin, tableEnd)
		}
		page = before + begin + table.markdown() + tableEnd + after
	}
	return page, nil
}

// updatePage writes the tables of the page next to the report's directory.
func updatePage(dir string, from report) error {
	path := filepath.Join(filepath.Dir(filepath.Clean(dir)), pageName)
	page, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a report that is not published
	}
	if err != nil {
		return err
	}
	updated, err := renderPage(string(page), from)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(updated), 0o644) //nolint:gosec // documentation is readable for all users
}
