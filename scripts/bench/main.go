// Command bench measures the engine on a real Vault server and compares it, in the same run, with an engine that does
// nothing but lease a constant. It needs Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := bench(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	quick := flag.Bool("quick", false, "a few scenarios and 64 clients only: two minutes")
	only := flag.String("run", "", "a regular expression: measure only the scenarios that it matches, and their baselines; the growth is left out")
	clients := flag.Int("clients", 0, "measure only this number of clients at once; 0 means 64, 8 and 1")
	dir := flag.String("dir", "", "an empty directory for Vault's storage, such as one in /dev/shm; default: a temporary directory on the disk")
	out := flag.String("out", "", "a directory for the report (JSON) and the plots (SVG); default: none is written")
	rounds := flag.Int("rounds", 2, "how often each scenario runs")
	duration := flag.Duration("duration", 2*time.Second, "how long each scenario reads in a round")
	entries := flag.Int("entries", 100_000, "the largest ledger of the growth measurement; 0 leaves it out")
	render := flag.Bool("render", false, "measure nothing; write the tables of the page from the report in -out")
	flag.Parse()

	if *render {
		stored, err := readReport(*out)
		if err != nil {
			return err
		}
		return errors.Join(writePlots(*out, stored), updatePage(*out, stored))
	}
	selected, err := selectScenarios(scenarios(*quick), *only)
	if err != nil {
		return err
	}
	if *only != "" {
		*entries = 0
	}
	with := settings{scenarios: selected, clients: allClients, rounds: *rounds, duration: *duration, progress: os.Stderr}
	if *quick {
		with.clients, with.rounds, *entries = []int{targetClients}, min(*rounds, 2), 0
	}
	if *clients > 0 {
		with.clients = []int{*clients}
	}
	s, err := startServer(ctx, *dir, os.Stderr)
	if err != nil {
		return err
	}
	return errors.Join(measure(ctx, s, with, *entries, *out, storageName(*dir)), s.Close())
}

func storageName(dir string) string {
	if dir == "" {
		return "raft on a disk"
	}
	return "raft in " + dir
}

// measure runs everything and writes the results.
func measure(ctx context.Context, s *server, with settings, entries int, out, storage string) error {
	begin := time.Now()
	health, err := s.root.Sys().HealthWithContext(ctx)
	if err != nil {
		return err
	}
	samples, failed := measureAll(ctx, s, with.scenarios, with)
	if ctx.Err() != nil {
		return failed
	}
	result := report{Machine: describeMachine(health.Version, storage), Rows: rowsOf(samples)}
	if entries > 0 {
		if result.Configs, err = measureConfigs(ctx, s, with); err != nil {
			return err
		}
		if result.Growth, err = measureGrowth(ctx, s, with, entries); err != nil {
			return err
		}
	}
	for _, clients := range with.clients {
		if err := writeTables(os.Stdout, result, clientsTable(clients)); err != nil {
			return err
		}
	}
	if err := writeTables(os.Stdout, result, "targets", "configs", "growth"); err != nil {
		return err
	}
	fmt.Printf("\n%d targets missed; measured in %s\n", countMissed(result.Rows), time.Since(begin).Round(time.Second))
	if out == "" {
		return failed
	}
	return errors.Join(failed, result.write(out, reportName), writePlots(out, result), updatePage(out, result))
}
