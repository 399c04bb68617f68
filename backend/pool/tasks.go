package pool

import "sync"

// tasks counts goroutines. It is safe for concurrent use.
type tasks struct {
	mu      sync.Mutex
	running int
	// ended is closed while none runs.
	ended chan struct{}
}

func newTasks() *tasks {
	ended := make(chan struct{})
	close(ended)
	return &tasks{ended: ended}
}

// start runs a function in a goroutine. The channel is closed when it returns.
func (t *tasks) start(run func()) <-chan struct{} {
	t.mu.Lock()
	if t.running == 0 {
		t.ended = make(chan struct{})
	}
	t.running++
	t.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer func() {
			close(done)
			t.mu.Lock()
			defer t.mu.Unlock()
			t.running--
			if t.running == 0 {
				close(t.ended)
			}
		}()
		run()
	}()
	return done
}

// idle returns a channel that is closed when no goroutine runs.
func (t *tasks) idle() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}
