package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// allClients are the numbers of clients that a complete run measures.
var allClients = []int{1, 8, targetClients}

// table is a table of results. The terminal and the page show the same ones.
type table struct {
	head  []string
	lines [][]string
}

// write prints the table for a terminal, with its columns aligned.
func (t table) write(out io.Writer) error {
	aligned := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, line := range append([][]string{t.head}, t.lines...) {
		_, _ = fmt.Fprintln(aligned, strings.Join(line, "\t"))
	}
	return aligned.Flush()
}

// markdown renders the table for the page.
func (t table) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "| %s |\n|%s\n", strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
	for _, line := range t.lines {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(line, " | "))
	}
	return out.String()
}

// writeTables prints those of the named tables that have lines.
func writeTables(out io.Writer, from report, names ...string) error {
	tables := tablesOf(from)
	for _, name := range names {
		if len(tables[name].lines) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(out, "\n%s\n", name)
		if err := tables[name].write(out); err != nil {
			return err
		}
	}
	return nil
}

// tablesOf returns the tables of a report by name.
func tablesOf(from report) map[string]table {
	tables := map[string]table{
		"machine": {[]string{"Processor", "Cores", "System", "Go", "Vault", "Storage", "Date"}, [][]string{{
			from.Machine.CPU, fmt.Sprint(from.Machine.Cores), from.Machine.OS, from.Machine.Go, from.Machine.Vault, from.Machine.Storage,
			from.Machine.Date.Format("2006-01-02"),
		}}},
		"targets": targetTable(from.Rows),
		"configs": configTable(from.Configs),
		"growth":  growthTable(from.Growth),
	}
	for _, clients := range allClients {
		tables[clientsTable(clients)] = rowTable(from.Rows, clients)
	}
	return tables
}

func rowTable(rows []row, clients int) table {
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
	return table{[]string{
		"Scenario", "Reads/s", "p50 ms", "p99 ms", "CPU µs", "× baseline", "Calls", "Renewals/s", "CPU µs", "× baseline",
		"Revocations/s", "CPU µs", "× baseline", "Calls", "Plugin MiB",
	}, lines}
}

func targetTable(rows []row) table {
	var lines [][]string
	for _, t := range targets() {
		value, ok := t.value(rows)
		if !ok {
			continue
		}
		sign, verdict := t.judge(value)
		lines = append(lines, []string{t.name, fmt.Sprintf("%s %.2f", sign, t.bound), fmt.Sprintf("%.2f", value), verdict})
	}
	return table{[]string{"Target", "Bound", "Measured", ""}, lines}
}

func configTable(rows []configRow) table {
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{
			fmt.Sprint(r.Configs), number(r.Read.PerSecond, 0), number(r.Read.P50, 1), number(r.Read.P99, 1), number(r.Read.CPU, 0),
		})
	}
	return table{[]string{"Configs", "Reads/s", "p50 ms", "p99 ms", "CPU µs"}, lines}
}

func growthTable(rows []growthRow) table {
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{
			fmt.Sprint(r.Entries), number(r.FirstRead, 0), fmt.Sprint(r.Served), number(r.AllServed, 0), number(r.Read.PerSecond, 0),
			number(r.Read.P50, 1), number(r.Read.P99, 1), number(r.LoadingRSS, 0), number(r.IdleRSS, 0),
		})
	}
	return table{[]string{
		"Entries", "First read of a small config, ms", "Readers served of 64", "after ms", "Reads/s", "p50 ms", "p99 ms", "MiB while loading", "MiB idle",
	}, lines}
}

// clientsTable is the name of the table for a number of clients.
func clientsTable(clients int) string { return fmt.Sprintf("%d clients", clients) }

func number(value float64, digits int) string { return fmt.Sprintf("%.*f", digits, value) }

func ratio(value float64) string {
	if value == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", value)
}
