// Package faults proves that the engine loses no credential: whatever process ends, whatever node stalls and whatever a
// vendor answers, every live credential has a lease or is about to be revoked, and every live credential is in the
// ledger. `make test-faults` runs it.
//
// Only the vendors are emulated. The Vault server uses raft storage, and the plugin runs as an external process that was
// built with the tag failpoints. That build can be killed or held at each failpoint, and its waits take seconds instead
// of minutes; the rest of the code is the same. The emulators record every credential that they issue, and the tests
// compare these records with the engine's ledger.
//
// Each test consists of scenarios: one fault at one vendor. After each, two numbers must be zero:
//
//   - orphans: credentials that are live at the vendor without a ledger entry, and credentials, leases and ledger entries
//     that remain after all leases have ended and the engine has swept its ledger;
//   - lost leases: leases that no client has revoked and whose credential the vendor refuses, or that Vault does not have
//     any more. A credential that the vendor has evicted counts as a lost lease.
//
// With -short, the tests are the part that `make test` runs.
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

// seed is the seed of the random loads. The same seed gives the same choices, but not the same interleaving.
var seed = flag.Int64("seed", time.Now().UnixNano(), "seed of the random loads")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	begun := time.Now()
	// All files are below one directory, which is deleted at the end, and after an interruption.
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
	if lost := printReport(os.Stdout); lost && code == 0 {
		code = 1
	}
	fmt.Printf("faults: %s, seed %d\n", time.Since(begun).Round(time.Second), *seed)
	return code
}
