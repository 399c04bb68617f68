package lease

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Vault holds its state lock while it waits for a revocation, and cancels the revocation only once it has the lock for
// itself, or after 90 seconds: a seal and a step-down wait, and while they wait, every other request of the server does.
// So a revocation runs on the lifetime of the mount, with all the time that the vendor and the rate limit need, and
// Vault's request waits for it for a short time only. Vault repeats the request, and joins the same revocation.
//
// Vault repeats a failed revocation five times, in about ten minutes, and gives the lease up then. Of the revocations
// that wait for their turn, those that Vault has asked for most often go first.
const (
	// revocationDeadline bounds a revocation that Vault has begun: it is longer than Vault repeats it.
	revocationDeadline = 20 * time.Minute

	// maxRevocations bounds the revocations of a config that run at the same time, and maxSilentRevocations those at a
	// vendor that does not answer. The background work makes the others.
	maxRevocations       = 4096
	maxSilentRevocations = 64

	// stopTimeout bounds how long Stop waits for revocations, which end when their context does.
	stopTimeout = time.Second
)

// revocation is a running revocation of one credential.
type revocation struct {
	config  string
	urgency *pool.Urgency
	// asked is how often Vault has asked for it.
	asked int
	// done is closed at the end. result and err are set before.
	done   chan struct{}
	result outcome
	err    error
}

// revocations holds the running revocations of a mount by the IDs of their entries. It is safe for concurrent use.
type revocations struct {
	mu       sync.Mutex
	running  map[string]*revocation
	byConfig map[string]int
	// tasks are those that Vault has begun.
	tasks sync.WaitGroup
}

func newRevocations() *revocations {
	return &revocations{running: make(map[string]*revocation), byConfig: make(map[string]int)}
}

// get returns the running revocation of an entry, or nil.
func (r *revocations) get(entryID string) *revocation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running[entryID]
}

// begin returns the running revocation of an entry, or a new one, which the caller must make and finish: then began is
// true. It returns nil if limit are running for the config.
func (r *revocations) begin(entry *ledger.Entry, limit int) (current *revocation, began bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if running := r.running[entry.ID]; running != nil {
		return running, false
	}
	if r.byConfig[entry.Config] >= limit {
		return nil, false
	}
	current = &revocation{config: entry.Config, urgency: pool.NewUrgency(), done: make(chan struct{})}
	r.running[entry.ID] = current
	r.byConfig[entry.Config]++
	return current, true
}

// ask counts that Vault has asked for a revocation once more.
func (r *revocations) ask(current *revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	current.asked++
	current.urgency.Raise(current.asked)
}

// finish records the outcome of a revocation, and wakes those that wait for it.
func (r *revocations) finish(entryID string, current *revocation, result outcome, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, entryID)
	if r.byConfig[current.config]--; r.byConfig[current.config] == 0 {
		delete(r.byConfig, current.config)
	}
	current.result, current.err = result, err
	close(current.done)
}

// revokeWithin revokes a credential as c.revoke does, and waits for that for the patience of c at most, or for that of an
// unmount. The revocation goes on afterwards. It does not wait at all if the vendor has not answered another revocation for so long.
func (c *Credentials) revokeWithin(ctx context.Context, storage logical.Storage, entry *ledger.Entry) error {
	patience, limit := c.RevokePatience, maxRevocations
	if c.Pool.Silent(entry.Config, patience) {
		patience, limit = 0, maxSilentRevocations
	}
	current, began := c.revocations.begin(entry, limit)
	if current == nil {
		c.markRevoking(ctx, storage, entry)
		return errStillRevoking(entry)
	}
	c.revocations.ask(current)
	if began {
		started := *entry
		c.revocations.tasks.Go(func() { c.runRevocation(storage, &started, current) })
	}
	if current.endsWithin(ctx, patience) || patience > 0 && c.Unmounting() && current.endsWithin(ctx, c.UnmountPatience-patience) {
		return current.err
	}
	c.markRevoking(ctx, storage, entry)
	return errStillRevoking(entry)
}

// endsWithin waits for the end of a revocation, and reports whether it came in time and before the end of the context.
func (r *revocation) endsWithin(ctx context.Context, wait time.Duration) bool {
	waited := time.NewTimer(wait)
	defer waited.Stop()
	select {
	case <-r.done:
		return true
	case <-waited.C:
	case <-ctx.Done():
	}
	return false
}

// runRevocation makes a revocation that Vault has begun.
func (c *Credentials) runRevocation(storage logical.Storage, entry *ledger.Entry, current *revocation) {
	ctx, cancel := context.WithTimeout(c.Lifetime, revocationDeadline)
	defer cancel()
	result, err := provider.CatchPanic("revoke", func() (outcome, error) {
		return c.revoke(pool.WithUrgency(ctx, current.urgency), storage, entry)
	})
	if err != nil {
		c.recordFailure(ctx, storage, entry, err)
	}
	if result.drained {
		c.Drained(storage, entry.Config)
	}
	c.revocations.finish(entry.ID, current, result, err)
}

// recordFailure records a failed revocation again if a request has marked the entry since it began, which scheduleRetry
// takes for the failure of another attempt.
func (c *Credentials) recordFailure(ctx context.Context, storage logical.Storage, began *ledger.Entry, cause error) {
	ctx = context.WithoutCancel(ctx)
	entry, err := c.Ledger.Get(ctx, storage, began.Config, began.ID)
	if err != nil || entry == nil || entry.LastError != stillRevoking {
		return
	}
	c.scheduleRetry(ctx, storage, entry, cause)
}

// stillRevoking is the last error of an entry whose revocation takes longer than Vault's request has waited for it.
const stillRevoking = "the vendor has not confirmed the revocation yet"

func errStillRevoking(entry *ledger.Entry) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Message: stillRevoking + ": the engine goes on with it",
		Remedy: fmt.Sprintf("try again; config/%s/credentials shows the state", entry.Config),
	}
}

// markRevoking records that a credential must end whose revocation goes on after the request: its lease is not renewed any
// more, and if the process ends, the background work revokes it.
func (c *Credentials) markRevoking(ctx context.Context, storage logical.Storage, entry *ledger.Entry) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_, err := c.changeEntry(ctx, storage, entry, func(entry *ledger.Entry, _ bool) bool {
		if entry.State != ledger.StateLive {
			return false
		}
		entry.State, entry.NextAttemptAt, entry.LastError = ledger.StateRevoking, c.Clock.Now(), stillRevoking
		return true
	})
	if err != nil {
		c.Logger().Warn("a revocation that goes on could not be recorded", logOf(entry, "error", err)...)
	}
}

// joinOrRevoke revokes a credential for a sweep. If its revocation is running already, the background work skips it, and
// an operator waits for it.
func (c *Credentials) joinOrRevoke(ctx context.Context, storage logical.Storage, entry *ledger.Entry) (outcome, error) {
	current, began := c.revocations.begin(entry, maxRevocations+1)
	switch {
	case current == nil:
		return outcome{}, nil
	case began:
		result, err := provider.CatchPanic("revoke", func() (outcome, error) { return c.revoke(ctx, storage, entry) })
		c.revocations.finish(entry.ID, current, result, err)
		return result, err
	case ctx.Value(operatorKey{}) == nil:
		return outcome{}, nil
	}
	select {
	case <-current.done:
		return current.result, current.err
	case <-ctx.Done():
		return outcome{}, nil
	}
}

// Stop returns when all revocations that Vault has begun have ended, which they do at the end of the lifetime, or after
// a second: a driver may not honour its context.
func (c *Credentials) Stop() {
	ended := make(chan struct{})
	go func() {
		c.revocations.tasks.Wait()
		close(ended)
	}()
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-ended:
	case <-timeout.C:
		c.Logger().Warn("revocations did not stop within a second")
	}
}
