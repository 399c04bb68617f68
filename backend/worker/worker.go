// Package worker runs the background work of one mount outside of Vault's periodic function. Vault holds its
// state lock while the periodic function runs: a vendor call in it would delay seal and step-down, and every
// other mount. The worker serves the configs in turn, a few in parallel, each within its own budget, so that a
// silent vendor or a long backlog at one config does not delay another. It knows nothing of the work itself.
package worker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// Parallel is how many configs are served at the same time.
	Parallel = 4

	// parallelSlow is how many of them may be configs whose last turn failed slowly. The others stay free for
	// configs that work.
	parallelSlow = Parallel / 2

	// slowTurn is how long a turn must have taken to be slow. A config whose vendor answers, and that has one
	// credential which always fails, is not: its turns delay no other config.
	slowTurn = 5 * time.Second

	// Budget bounds one turn of one config.
	Budget = 20 * time.Second

	// stopTimeout bounds how long Stop waits for running turns, which end when their context does.
	stopTimeout = time.Second
)

// Options are the work.
type Options struct {
	// Names lists the configs that may have work.
	Names func(ctx context.Context) ([]string, error)
	// Turn serves one config until its work is done or the context ends. No config is served twice at the same
	// time. more is true when work remains that is due now: the config then gets another turn, after the others.
	// A config whose turn failed after more than five seconds is served in a smaller number of parallel turns.
	Turn func(ctx context.Context, name string) (more bool, err error)
	// Logger returns the mount's logger.
	Logger func() hclog.Logger
}

// Worker serves the configs of one mount. Start, Wake, Flush and Stop may be called from any goroutine.
type Worker struct {
	options Options
	cancel  context.CancelFunc
	wake    chan struct{}
	flush   chan chan struct{}
	done    chan struct{}
}

// Start starts a worker, which waits to be woken. The caller must stop it.
func Start(options Options) *Worker {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Worker{
		options: options, cancel: cancel,
		wake: make(chan struct{}, 1), flush: make(chan chan struct{}), done: make(chan struct{}),
	}
	go w.run(ctx)
	return w
}

// Wake makes the worker look for work. It never blocks.
func (w *Worker) Wake() {
	select {
	case w.wake <- struct{}{}:
	default: // the worker has not yet looked since the last call
	}
}

// Flush makes the worker look for work and returns when all of it has had its turns, or when the context ends
// or the worker stops.
func (w *Worker) Flush(ctx context.Context) {
	idle := make(chan struct{})
	select {
	case w.flush <- idle:
	case <-w.done:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-idle:
	case <-w.done:
	case <-ctx.Done():
	}
}

// Stop ends the worker and all running turns. It returns after a second at the latest, also if a driver does
// not honour its context.
func (w *Worker) Stop() {
	w.cancel()
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-w.done:
	case <-timeout.C:
		w.options.Logger().Warn("background work did not stop within a second")
	}
}

// turnResult is the outcome of one turn.
type turnResult struct {
	name string
	more bool
	// slow is true if the turn failed and took long: the vendor is probably silent.
	slow bool
}

// run is the worker's goroutine. All of its state is in the schedule.
func (w *Worker) run(ctx context.Context) {
	defer close(w.done)
	s := newSchedule()
	results := make(chan turnResult)
	var flushing []chan struct{}
	for {
		select {
		case <-ctx.Done():
			for range len(s.running) {
				<-results
			}
			return
		case <-w.wake:
			w.look(ctx, s)
		case idle := <-w.flush:
			w.look(ctx, s)
			flushing = append(flushing, idle)
		case result := <-results:
			s.finish(result)
		}
		for name, ok := s.next(); ok; name, ok = s.next() {
			go func() { results <- w.turn(ctx, name) }()
		}
		if s.idle() {
			for _, idle := range flushing {
				close(idle)
			}
			flushing = nil
		}
	}
}

// look adds the configs that may have work to the schedule.
func (w *Worker) look(ctx context.Context, s *schedule) {
	names, err := provider.CatchPanic("background work", func() ([]string, error) { return w.options.Names(ctx) })
	if err != nil {
		if ctx.Err() == nil {
			w.options.Logger().Warn("the background work could not list the configs", "error", err)
		}
		return
	}
	s.forget(names)
	for _, name := range names {
		s.add(name)
	}
}

// turn serves one config within its budget.
func (w *Worker) turn(ctx context.Context, name string) turnResult {
	ctx, cancel := context.WithTimeout(ctx, Budget)
	defer cancel()
	began := time.Now()
	more, err := provider.CatchPanic("background work", func() (bool, error) { return w.options.Turn(ctx, name) })
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		w.options.Logger().Warn("background work of a config failed; it is retried", "config", name, "error", err)
	}
	return turnResult{name: name, more: more, slow: err != nil && time.Since(began) > slowTurn}
}

// schedule says which config has the next turn. Only the worker's goroutine uses it.
type schedule struct {
	// waiting are the configs in the order of their turns.
	waiting []string
	running map[string]bool
	// again are running configs for which new work may have arrived.
	again map[string]bool
	// slow are the configs whose last turn failed slowly.
	slow map[string]bool
}

func newSchedule() *schedule {
	return &schedule{running: make(map[string]bool), again: make(map[string]bool), slow: make(map[string]bool)}
}

// add gives a config a turn, unless it already waits for one. A running config gets another turn.
func (s *schedule) add(name string) {
	switch {
	case s.running[name]:
		s.again[name] = true
	case !slices.Contains(s.waiting, name):
		s.waiting = append(s.waiting, name)
	}
}

// forget drops what is known of configs that do not exist any more.
func (s *schedule) forget(existing []string) {
	maps.DeleteFunc(s.slow, func(name string, _ bool) bool { return !slices.Contains(existing, name) })
}

// next takes the config with the next turn. It reports false when none waits or all places are taken.
func (s *schedule) next() (string, bool) {
	if len(s.running) >= Parallel {
		return "", false
	}
	slow := 0
	for name := range s.running {
		if s.slow[name] {
			slow++
		}
	}
	for i, name := range s.waiting {
		if s.slow[name] && slow >= parallelSlow {
			continue
		}
		s.waiting = slices.Delete(s.waiting, i, i+1)
		s.running[name] = true
		return name, true
	}
	return "", false
}

// finish records the outcome of a turn.
func (s *schedule) finish(result turnResult) {
	again := result.more || s.again[result.name]
	delete(s.running, result.name)
	delete(s.again, result.name)
	delete(s.slow, result.name)
	if result.slow {
		s.slow[result.name] = true
	}
	if again {
		s.add(result.name)
	}
}

func (s *schedule) idle() bool { return len(s.waiting) == 0 && len(s.running) == 0 }
