package faults

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// row counts the results of a fault at a target.
type row struct{ runs, issued, orphans, lostLeases int }

func (r *row) add(more row) {
	r.runs += more.runs
	r.issued += more.issued
	r.orphans += more.orphans
	r.lostLeases += more.lostLeases
}

// report holds the results of all tests of the run, by fault and target.
var report = struct {
	mu      sync.Mutex
	rows    map[[2]string]*row
	started time.Time
}{rows: map[[2]string]*row{}, started: time.Now()}

// record adds to the results of a fault at a target.
func record(fault, target string, more row) {
	report.mu.Lock()
	defer report.mu.Unlock()
	key := [2]string{fault, target}
	if report.rows[key] == nil {
		report.rows[key] = &row{}
	}
	report.rows[key].add(more)
}

// progress prints a completed step and the time since the start.
func progress(format string, args ...any) {
	fmt.Printf("faults: %5.1fs  %s\n", time.Since(report.started).Seconds(), fmt.Sprintf(format, args...))
}

// printReport prints a line for each fault, with the runs and the issued credentials at each target. It reports whether
// anything was lost.
func printReport(w io.Writer) (lost bool) {
	report.mu.Lock()
	defer report.mu.Unlock()
	if len(report.rows) == 0 {
		return false
	}
	var faults []string
	for key := range report.rows {
		faults = append(faults, key[0])
	}
	slices.Sort(faults)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(table, "\nFAULT (scenarios/credentials issued)")
	for _, v := range targets() {
		_, _ = fmt.Fprint(table, "\t"+v.label)
	}
	_, _ = fmt.Fprintln(table, "\tORPHANS\tLOST LEASES")
	var total row
	for _, fault := range slices.Compact(faults) {
		_, _ = fmt.Fprint(table, fault)
		var line row
		for _, v := range targets() {
			cell, ok := report.rows[[2]string{fault, v.label}]
			if !ok {
				_, _ = fmt.Fprint(table, "\t-")
				continue
			}
			_, _ = fmt.Fprintf(table, "\t%d/%d", cell.runs, cell.issued)
			if lost := cell.orphans + cell.lostLeases; lost > 0 {
				_, _ = fmt.Fprintf(table, " LOST %d", lost)
			}
			line.add(*cell)
		}
		_, _ = fmt.Fprintf(table, "\t%d\t%d\n", line.orphans, line.lostLeases)
		total.add(line)
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(w, "total: %d scenarios, %d credentials issued, %d orphans, %d lost leases\n",
		total.runs, total.issued, total.orphans, total.lostLeases)
	return total.orphans+total.lostLeases > 0
}
