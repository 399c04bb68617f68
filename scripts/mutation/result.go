package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// result is what the mutants of a package show.
type result struct {
	killed, equivalent int
	// timedOut counts those of the killed mutants whose tests were stopped.
	timedOut int
	// unmeasured counts the mutants outside functions, such as those of constants, which gremlins cannot test.
	unmeasured int
	survivors  []mutant
	uncovered  []mutant
	// outdated are the entries of the list whose mutant is killed or does not exist, with the word for that.
	outdated map[identity]string
}

// evaluate compares the mutants of a package with the package's part of the list.
func evaluate(mutants []mutant, listed equivalents) result {
	r := result{outdated: make(map[identity]string)}
	for id := range listed {
		r.outdated[id] = "does not exist"
	}
	for _, m := range mutants {
		_, isListed := listed[m.identity]
		switch m.status {
		case statusKilled, statusTimedOut:
			// A change that makes the tests run without an end is noticed.
			r.killed++
			if m.status == statusTimedOut {
				r.timedOut++
			}
			if isListed {
				r.outdated[m.identity] = "is killed"
			}
		case statusLived, statusNotCovered:
			switch {
			case isListed:
				r.equivalent++
				delete(r.outdated, m.identity)
			case m.status == statusLived:
				r.survivors = append(r.survivors, m)
			case m.function == inDeclaration:
				r.unmeasured++
			default:
				r.uncovered = append(r.uncovered, m)
			}
		}
	}
	return r
}

// printf writes a part of the result. A failure of the terminal cannot be reported there.
func printf(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }

// killedPercent is the share of the killed mutants among those that tests reach.
func (r *result) killedPercent() float64 { return percent(r.killed, r.killed+len(r.survivors)) }

// coveredPercent is the share of the mutants that tests reach.
func (r *result) coveredPercent() float64 {
	reached := r.killed + len(r.survivors)
	return percent(reached, reached+len(r.uncovered))
}

// percent returns 100 for a part of nothing.
func percent(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

// ok reports whether the package reaches the aims and its part of the list is up to date.
func (r *result) ok() bool {
	return r.killedPercent() >= aimKilled && r.coveredPercent() >= aimCovered && len(r.outdated) == 0
}

// print shows the result and the next steps.
func (r *result) print(out io.Writer, list string, took time.Duration) {
	printMutants(out, "Survivors", r.survivors)
	printMutants(out, "Not covered", r.uncovered)
	if len(r.outdated) > 0 {
		printf(out, "\n    Outdated entries of %s:\n", list)
		ids := slices.SortedFunc(maps.Keys(r.outdated), func(a, b identity) int { return strings.Compare(a.String(), b.String()) })
		for _, id := range ids {
			printf(out, "      the mutant %s: %s\n", r.outdated[id], strings.ReplaceAll(id.String(), "\n    ", ": "))
		}
	}
	printf(out, "\n    killed %.1f %% (aim %.0f), covered %.1f %% (aim %.0f): %d killed (%d by the time limit), "+
		"%d survived, %d not covered, %d equivalent, %d in constants; %s\n", r.killedPercent(), aimKilled, r.coveredPercent(), aimCovered,
		r.killed, r.timedOut, len(r.survivors), len(r.uncovered), r.equivalent, r.unmeasured, took.Round(time.Second))
	if len(r.survivors) > 0 {
		printf(out, "    Next: write a test of the behaviour that a survivor changes. If the code is needless, remove it. If no test\n"+
			"    can see the change, add the two lines above to %s, with the reason.\n", list)
	}
	if len(r.uncovered) > 0 {
		printf(out, "    Next: write a test, in the same package, that runs the lines that are not covered.\n")
	}
	if len(r.outdated) > 0 {
		printf(out, "    Next: delete the outdated entries from %s, or correct them if the source line has changed.\n", list)
	}
	printf(out, "\n")
}

// printMutants prints mutants with their places, and their identities in the form of the list.
func printMutants(out io.Writer, title string, mutants []mutant) {
	if len(mutants) == 0 {
		return
	}
	printf(out, "\n    %s:\n", title)
	for _, m := range mutants {
		printf(out, "      line %d, column %d\n", m.line, m.column)
		for line := range strings.Lines(m.String()) {
			printf(out, "        %s\n", strings.TrimSuffix(line, "\n"))
		}
	}
}
