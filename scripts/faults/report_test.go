package faults

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// row counts what a fault did to a vendor.
type row struct{ runs, made, orphans, leases int }

func (r *row) add(more row) {
	r.runs += more.runs
	r.made += more.made
	r.orphans += more.orphans
	r.leases += more.leases
}

// book is the report of all tests of the run, by fault and vendor.
var book = struct {
	mu   sync.Mutex
	rows map[[2]string]*row
	at   time.Time
}{rows: map[[2]string]*row{}, at: time.Now()}

// note adds to what is known of a fault and a vendor.
func note(fault, vendor string, more row) {
	book.mu.Lock()
	defer book.mu.Unlock()
	key := [2]string{fault, vendor}
	if book.rows[key] == nil {
		book.rows[key] = &row{}
	}
	book.rows[key].add(more)
}

// progress tells that something was done, and when.
func progress(format string, args ...any) {
	fmt.Printf("faults: %5.1fs  %s\n", time.Since(book.at).Seconds(), fmt.Sprintf(format, args...))
}

// printReport prints a line for each fault, with runs and credentials made for each vendor, and tells whether
// anything was lost.
func printReport(w io.Writer) (bad bool) {
	book.mu.Lock()
	defer book.mu.Unlock()
	if len(book.rows) == 0 {
		return false
	}
	var faults []string
	for key := range book.rows {
		faults = append(faults, key[0])
	}
	slices.Sort(faults)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprint(table, "\nFAULT (runs/credentials made)")
	for _, v := range vendors() {
		_, _ = fmt.Fprint(table, "\t"+v.name)
	}
	_, _ = fmt.Fprintln(table, "\tORPHANS\tLOST LEASES")
	var total row
	for _, fault := range slices.Compact(faults) {
		_, _ = fmt.Fprint(table, fault)
		var line row
		for _, v := range vendors() {
			cell, ok := book.rows[[2]string{fault, v.name}]
			if !ok {
				_, _ = fmt.Fprint(table, "\t-")
				continue
			}
			_, _ = fmt.Fprintf(table, "\t%d/%d", cell.runs, cell.made)
			if lost := cell.orphans + cell.leases; lost > 0 {
				_, _ = fmt.Fprintf(table, " LOST %d", lost)
			}
			line.add(*cell)
		}
		_, _ = fmt.Fprintf(table, "\t%d\t%d\n", line.orphans, line.leases)
		total.add(line)
	}
	_ = table.Flush()
	_, _ = fmt.Fprintf(w, "total: %d runs, %d credentials made, %d orphans, %d lost leases\n", total.runs, total.made, total.orphans, total.leases)
	return total.orphans+total.leases > 0
}
