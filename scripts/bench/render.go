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
		page = before + begin + table + tableEnd + after
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

// tablesOf returns the tables of a report in Markdown, by name.
func tablesOf(from report) map[string]string {
	tables := map[string]string{
		"machine": markdown([]string{"Processor", "Cores", "System", "Go", "Vault", "Storage", "Date"}, [][]string{{
			from.Machine.CPU, fmt.Sprint(from.Machine.Cores), from.Machine.OS, from.Machine.Go, from.Machine.Vault, from.Machine.Storage,
			from.Machine.Date.Format("2006-01-02"),
		}}),
		"targets": targetTable(from.Rows),
		"configs": configTable(from.Configs),
		"growth":  growthTable(from.Growth),
	}
	for _, clients := range []int{1, 8, 64} {
		tables[fmt.Sprintf("%d clients", clients)] = rowTable(from.Rows, clients)
	}
	return tables
}

func rowTable(rows []row, clients int) string {
	var lines [][]string
	for _, r := range rows {
		if r.Clients != clients {
			continue
		}
		renew := []string{"-", "-", "-"}
		if r.Renew != nil {
			renew = []string{number(r.Renew.PerSecond, 0), number(r.Renew.CPU, 0), ratio(r.Renew.CPURatio)}
		}
		line := []string{
			r.Name, number(r.Read.PerSecond, 0), number(r.Read.P50, 1), number(r.Read.P99, 1), number(r.Read.CPU, 0), ratio(r.Read.CPURatio),
			number(r.Read.VendorCalls, 2),
		}
		line = append(line, renew...)
		lines = append(lines, append(line, number(r.Revoke.PerSecond, 0), number(r.Revoke.CPU, 0), ratio(r.Revoke.CPURatio),
			number(r.Revoke.VendorCalls, 2), number(r.PluginRSS, 0)))
	}
	return markdown([]string{
		"Scenario", "Reads/s", "p50 ms", "p99 ms", "CPU µs", "× baseline", "Calls", "Renewals/s", "CPU µs", "× baseline",
		"Revocations/s", "CPU µs", "× baseline", "Calls", "Plugin MiB",
	}, lines)
}

func targetTable(rows []row) string {
	var lines [][]string
	for _, t := range targets() {
		value, ok := t.value(rows)
		if !ok {
			continue
		}
		sign, verdict := t.judge(value)
		lines = append(lines, []string{t.name, fmt.Sprintf("%s %.2f", sign, t.bound), fmt.Sprintf("%.2f", value), verdict})
	}
	return markdown([]string{"Target", "Bound", "Measured", ""}, lines)
}

func configTable(rows []configRow) string {
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{
			fmt.Sprint(r.Configs), number(r.Read.PerSecond, 0), number(r.Read.P50, 1), number(r.Read.P99, 1), number(r.Read.CPU, 0),
		})
	}
	return markdown([]string{"Configs", "Reads/s", "p50 ms", "p99 ms", "CPU µs"}, lines)
}

func growthTable(rows []growthRow) string {
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{
			fmt.Sprint(r.Entries), number(r.FirstRead, 0), fmt.Sprint(r.Served), number(r.AllServed, 0), number(r.Read.PerSecond, 0),
			number(r.Read.P50, 1), number(r.Read.P99, 1), number(r.LoadingRSS, 0), number(r.IdleRSS, 0),
		})
	}
	return markdown([]string{
		"Entries", "First read of a small config, ms", "Readers served of 64", "after ms", "Reads/s", "p50 ms", "p99 ms", "MiB while loading", "MiB idle",
	}, lines)
}

func number(value float64, digits int) string { return fmt.Sprintf("%.*f", digits, value) }

// markdown renders a table.
func markdown(head []string, lines [][]string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, line := range lines {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(line, " | "))
	}
	return out.String()
}
