package e2e

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const (
	// probeInterval is the time between two health probes of Vault.
	probeInterval = 200 * time.Millisecond

	// slowProbe is many times longer than Vault takes for a small write on a machine that is not overloaded.
	slowProbe = 500 * time.Millisecond
)

// watchdog measures how fast Vault answers, by a small write at short intervals. A consumer can keep a credential
// fresh whose lease lasts a few seconds only while Vault answers faster than that. When other programs slow the machine
// down for longer, a stale credential proves nothing about the consumer.
type watchdog struct {
	mu       sync.Mutex
	began    time.Time // when the running probe began; zero while none runs
	lastSlow time.Time // when the last slow probe ended
}

// startWatchdog probes Vault until the test ends.
func startWatchdog(t *testing.T) *watchdog {
	t.Helper()
	w, client, done := &watchdog{}, server.Client(), make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { close(done); running.Wait() })
	running.Go(func() {
		ticker := time.NewTicker(probeInterval)
		defer ticker.Stop()
		for {
			w.setProbe(time.Now())
			_, err := client.Logical().Write("cubbyhole/health-probe", map[string]any{"at": time.Now().String()})
			assert.NoError(t, err)
			w.setProbe(time.Time{})
			select {
			case <-done:
				return
			case <-ticker.C:
			}
		}
	})
	return w
}

// setProbe records when a probe begins; the zero time records that it has ended.
func (w *watchdog) setProbe(began time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.began.IsZero() && time.Since(w.began) > slowProbe {
		w.lastSlow = time.Now()
	}
	w.began = began
}

// healthy reports whether no probe was slow for the given time, and the running one is not slow so far.
func (w *watchdog) healthy(within time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.lastSlow) > within && (w.began.IsZero() || time.Since(w.began) < slowProbe)
}
