package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"
)

// settings are how a run measures.
type settings struct {
	scenarios []scenario
	clients   []int
	rounds    int
	duration  time.Duration
	progress  io.Writer
}

// sample is what was measured of one scenario with one number of clients, over all rounds.
type sample struct {
	scenario            scenario
	clients             int
	read, renew, revoke phase
	residentPlugin      int64
	residentVault       int64
}

// sampleKey identifies a sample.
type sampleKey struct {
	name    string
	clients int
}

// measureAll measures the scenarios in rounds: in each round every scenario runs once with each number of clients, so
// that a slower minute of the machine meets all of them. With an error of a scenario, it returns the others too.
func measureAll(ctx context.Context, s *server, all []scenario, with settings) ([]*sample, error) {
	samples := make(map[sampleKey]*sample)
	var order []*sample
	failed := make(map[sampleKey]error)
	runs, total := 0, with.rounds*len(with.clients)*len(all)
	for round := range with.rounds {
		for _, clients := range with.clients {
			for i := range all {
				// Each round begins with another scenario.
				current := all[(i+round)%len(all)]
				key := sampleKey{current.Name, clients}
				if samples[key] == nil {
					samples[key] = &sample{scenario: current, clients: clients}
					order = append(order, samples[key])
				}
				runs++
				_, _ = fmt.Fprintf(with.progress, "%4d of %d: round %d, %d clients, %s\n", runs, total, round+1, clients, current.Name)
				if failed[key] != nil {
					continue
				}
				if err := measureOnce(ctx, s, samples[key], with.duration); err != nil {
					if ctx.Err() != nil {
						return nil, err
					}
					failed[key] = fmt.Errorf("%s with %d clients: %w", current.Name, clients, err)
					_, _ = fmt.Fprintf(with.progress, "not measured: %s\n", failed[key])
				}
			}
		}
	}
	// A scenario that failed is left out of the figures, and the run ends with its error.
	measured := slices.DeleteFunc(order, func(s *sample) bool { return failed[sampleKey{s.scenario.Name, s.clients}] != nil })
	return measured, errors.Join(slices.Collect(maps.Values(failed))...)
}

// measureOnce reads leases for a time, renews each once and revokes all.
func measureOnce(ctx context.Context, s *server, into *sample, duration time.Duration) error {
	current := into.scenario
	client, err := clientFor(s.root, into.clients)
	if err != nil {
		return err
	}
	if current.VendorDelay > 0 {
		if err := s.delayVendor(ctx, current.Vendor, current.VendorDelay); err != nil {
			return err
		}
		defer func() { _ = s.delayVendor(context.WithoutCancel(ctx), current.Vendor, 0) }()
	}
	// Without measuring: connections are opened, and a shared credential is issued.
	warm := &leases{}
	if _, _, err := run(ctx, into.clients, duration/4, warm.read(client, current.Path)); err != nil {
		return err
	}
	held := &leases{}
	if err := measurePhase(ctx, s, current, into.clients, duration, held.read(client, current.Path), &into.read); err != nil {
		return err
	}
	if err := measureMemory(s, into); err != nil {
		return err
	}
	if current.Renewable {
		if err := measurePhase(ctx, s, current, into.clients, 0, held.renew(client), &into.renew); err != nil {
			return err
		}
	}
	if err := measurePhase(ctx, s, current, into.clients, 0, held.revoke(client), &into.revoke); err != nil {
		return err
	}
	return revokeAll(ctx, client, into.clients, warm)
}

func revokeAll(ctx context.Context, client *api.Client, clients int, held *leases) error {
	_, _, err := run(ctx, clients, 0, held.revoke(client))
	return err
}

// measurePhase runs an operation, and adds what it took to a phase.
func measurePhase(ctx context.Context, s *server, current scenario, clients int, limit time.Duration, do operation, into *phase) error {
	pids, err := s.processes(current.Engine)
	if err != nil {
		return err
	}
	before, err := cpuTime(pids)
	if err != nil {
		return err
	}
	calls, err := s.vendorCalls(ctx, current.Vendor)
	if err != nil {
		return err
	}
	latencies, elapsed, err := run(ctx, clients, limit, do)
	if err != nil {
		return err
	}
	after, err := cpuTime(pids)
	if err != nil {
		return err
	}
	callsAfter, err := s.vendorCalls(ctx, current.Vendor)
	if err != nil {
		return err
	}
	into.latencies = append(into.latencies, latencies...)
	into.elapsed += elapsed
	into.cpu += after - before
	into.vendorCalls += callsAfter - calls
	return nil
}

// measureMemory keeps the largest memory that was seen.
func measureMemory(s *server, into *sample) error {
	pids, err := s.processes(into.scenario.Engine)
	if err != nil {
		return err
	}
	for i, pid := range pids {
		size, err := residentBytes(pid)
		if err != nil {
			return err
		}
		if i == len(pids)-1 {
			into.residentVault = max(into.residentVault, size)
		} else {
			into.residentPlugin = max(into.residentPlugin, size)
		}
	}
	return nil
}

// perSecond is the number of requests in a second.
func (p phase) perSecond() float64 {
	if p.elapsed == 0 {
		return 0
	}
	return float64(len(p.latencies)) / p.elapsed.Seconds()
}

// percentile returns the latency that a part of the requests does not exceed.
func (p phase) percentile(part float64) time.Duration {
	if len(p.latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(p.latencies))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}

// cpuEach is the CPU time for one request.
func (p phase) cpuEach() time.Duration {
	if len(p.latencies) == 0 {
		return 0
	}
	return p.cpu / time.Duration(len(p.latencies))
}

// callsEach is the number of vendor calls for one request.
func (p phase) callsEach() float64 {
	if len(p.latencies) == 0 {
		return 0
	}
	return float64(p.vendorCalls) / float64(len(p.latencies))
}
