// Package faults proves that nothing is lost: whatever dies, hangs or lies, every live vendor credential is
// leased or about to be ended, and nothing is left at a vendor that nobody knows of. `make test-faults` runs it.
//
// Everything is real but the vendors: the Vault server with raft storage, and the plugin as an external process,
// built with the tag failpoints. That build can be killed or held at each step of its work, and its waits are
// seconds where the other's are minutes; the code is the same. The vendors are the emulators, which keep the
// books that the engine's are compared with.
//
// Each test is a number of trials: one fault, one vendor. After each, two things must be zero:
//
//   - orphans: credentials that live at the vendor and are not in the ledger, and what is still alive, leased or
//     in the ledger after all leases have ended and all that was outstanding has been worked off;
//   - lost leases: leases whose end nobody asked for and whose credential the vendor refuses, or that Vault has
//     forgotten. A credential that was evicted at the vendor counts as one.
//
// With -short, it is the part that `make test` runs.
package faults

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// seed begins the random loads. The same seed gives the same choices, not the same interleaving.
var seed = flag.Int64("seed", time.Now().UnixNano(), "seed of the random loads")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	begun := time.Now()
	// All files are below one directory, which goes in any case.
	dir, err := os.MkdirTemp("", "faults-")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		stopAll()
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}()
	code := m.Run()
	if bad := printReport(os.Stdout); bad && code == 0 {
		code = 1
	}
	fmt.Printf("faults: %s, seed %d\n", time.Since(begun).Round(time.Second), *seed)
	return code
}
