package provider

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ErrNotSent is in the chain of an error that stands for a call that was not made, such as a remembered
// refusal. Such an error carries no new information about the vendor.
var ErrNotSent = errors.New("the request was not sent")

// AuthBackoff remembers that the vendor refused a root credential, so that a thousand readers with a wrong
// password make one attempt and do not lock the account. A connection keeps one for each root credential
// that it uses.
//
// The zero value is ready to use: it then remembers a refusal for as long as the vendor asked (RetryAfter).
// An AuthBackoff has no clock; the caller passes the time. It is safe for concurrent use and must not be
// copied after first use.
type AuthBackoff struct {
	// Initial is the pause after the first refusal.
	Initial time.Duration
	// Max is the longest pause. Each further refusal doubles the pause until it reaches Max. If Max is not
	// larger than Initial, the pause does not grow.
	Max time.Duration

	// shared holds the state if this is one config's view of it; see For.
	shared *AuthBackoff
	config string

	mu       sync.Mutex
	failure  *Error // a copy
	observer string // the config whose failure it is
	until    time.Time
	refusals int // since the last Reset
}

// For returns a view of the back-off for one config, by its name. All views have the same state. A refusal that another
// config observed is returned with a remedy that names this config.
func (b *AuthBackoff) For(config string) *AuthBackoff {
	return &AuthBackoff{shared: b.state(), config: config}
}

// state returns the back-off that holds the state.
func (b *AuthBackoff) state() *AuthBackoff {
	if b.shared != nil {
		return b.shared
	}
	return b
}

// Observe remembers a refusal for the current pause, or for failure.RetryAfter if that is longer, and sets
// failure.RetryAfter to that time. A refusal that arrives while an earlier one is
// remembered, because both requests were on their way, does not double the pause.
func (b *AuthBackoff) Observe(failure *Error, now time.Time) {
	config, b := b.config, b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals == 0 || !now.Before(b.until) {
		b.refusals++
	}
	pause := max(b.pause(), failure.RetryAfter)
	failure.RetryAfter = pause
	b.remember(failure, config, now.Add(pause))
}

// RetryOnce ends the pause after the first refusal. After further refusals it does nothing. It is for a root credential
// that the vendor may accept later, because it was asked to change to it.
func (b *AuthBackoff) RetryOnce(now time.Time) {
	b = b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals == 1 && b.failure != nil && b.failure.Class == ClassUnauthenticated && now.Before(b.until) {
		b.until = now
	}
}

// Hold remembers an error for failure.RetryAfter, which is how long the vendor asked to wait. It is for errors that
// are no refusal of the root credential, such as a rate limit: they do not make the pause grow.
func (b *AuthBackoff) Hold(failure *Error, now time.Time) {
	config, b := b.config, b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remember(failure, config, now.Add(failure.RetryAfter))
}

// remember stores a copy of failure, since its owner may still change it. The caller holds the mutex.
func (b *AuthBackoff) remember(failure *Error, config string, until time.Time) {
	remembered := *failure
	b.failure, b.observer, b.until = &remembered, config, until
}

// pause returns the pause after the refusals so far. The caller holds the mutex.
func (b *AuthBackoff) pause() time.Duration {
	longest := max(b.Initial, b.Max)
	pause := b.Initial
	for range b.refusals - 1 {
		if pause >= longest {
			break
		}
		pause *= 2
	}
	return min(pause, longest)
}

// Err returns the remembered error while its pause lasts, or nil. The error is a copy whose chain holds
// [ErrNotSent]. If the original has a RetryAfter, the copy's RetryAfter is the rest of the pause.
func (b *AuthBackoff) Err(now time.Time) error {
	config, b := b.config, b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	remaining := b.until.Sub(now)
	if b.failure == nil || remaining <= 0 {
		return nil
	}
	again := *b.failure
	again.Err = errors.Join(ErrNotSent, again.Err)
	if config != "" && b.observer != "" && config != b.observer {
		again.Remedy = strings.ReplaceAll(again.Remedy, "config/"+b.observer, "config/"+config)
	}
	again.Message += "; nothing was sent for this call, since the refusal is remembered"
	if again.RetryAfter > 0 {
		again.RetryAfter = remaining
	} else {
		again.Message += fmt.Sprintf(" for another %s", remaining.Round(time.Second))
	}
	return &again
}

// Reset forgets the refusals. A driver calls it when the vendor has accepted the root credential.
func (b *AuthBackoff) Reset() {
	b = b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failure, b.refusals = nil, 0
}
