package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const (
	// pulseInterval is how often Vault's pulse is taken.
	pulseInterval = 200 * time.Millisecond

	// slowAnswer is many times longer than Vault takes for a small write on a machine that is not overloaded.
	slowAnswer = 500 * time.Millisecond
)

// watchdog takes Vault's pulse, by small writes. Clients keep a credential fresh whose lease lasts seconds only
// while Vault answers in less than that: where other programs hold the machine up for longer, a stale
// credential proves nothing.
type watchdog struct {
	mu       sync.Mutex
	began    time.Time // of the write that is being made; zero in between
	lastSlow time.Time
}

// startPulse takes Vault's pulse until the test ends.
func startPulse(t *testing.T) *watchdog {
	t.Helper()
	p, client, done := &watchdog{}, server.Client(), make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { close(done); running.Wait() })
	running.Go(func() {
		ticker := time.NewTicker(pulseInterval)
		defer ticker.Stop()
		for {
			p.note(time.Now())
			_, err := client.Logical().Write("cubbyhole/pulse", map[string]any{"at": time.Now().String()})
			assert.NoError(t, err)
			p.note(time.Time{})
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	return p
}

// note notes when a write begins, or, by the zero time, that it has ended.
func (p *watchdog) note(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.began.IsZero() && time.Since(p.began) > slowAnswer {
		p.lastSlow = time.Now()
	}
	p.began = began
}

// steady tells whether Vault has answered in time, lately.
func (p *watchdog) steady(lately time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.lastSlow) > lately && (p.began.IsZero() || time.Since(p.began) < slowAnswer)
}
