package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// heapSlack is how much garbage the process lets accumulate between two collections. A small ledger then costs few
	// collections, and a large one not twice its own size.
	heapSlack = 14 << 20
	// leastGCPercent bounds how much of the processor a very large heap may cost.
	leastGCPercent, mostGCPercent = 50, 400
	// memoryInterval is how often the size of the heap is looked at.
	memoryInterval = 2 * time.Second
)

// gcPercent returns the GOGC for a heap with this many live bytes.
func gcPercent(live uint64) int {
	return int(min(max(100*heapSlack/max(live, 1), leastGCPercent), mostGCPercent))
}

// tuneMemory adapts GOGC to the live heap until the process ends. When the heap has grown, it returns to the system what the
// growth has left. It does nothing if the operator has set GOGC or GOMEMLIMIT.
func tuneMemory() {
	for _, variable := range []string{"GOGC", "GOMEMLIMIT"} {
		if os.Getenv(variable) != "" {
			return
		}
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	current := 0
	for ; ; time.Sleep(memoryInterval) {
		metrics.Read(sample)
		if sample[0].Value.Kind() != metrics.KindUint64 {
			return // this version of Go does not tell
		}
		wanted := gcPercent(sample[0].Value.Uint64())
		if current != 0 && max(wanted, current)-min(wanted, current) < current/10 {
			continue
		}
		debug.SetGCPercent(wanted)
		if wanted < current*3/4 {
			debug.FreeOSMemory()
		}
		current = wanted
	}
}
