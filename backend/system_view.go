package backend

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// defaultSystemMaxAge is how long the engine uses what Vault has said about the node and the mount. A read asks up to
// six times, and each question is a round trip to Vault's process. Nothing depends on the newest answer: Vault caps the
// TTL of each lease itself, a node that becomes a standby refuses storage writes itself, and it sets up its mounts again.
const defaultSystemMaxAge = 250 * time.Millisecond

// systemView is Vault's view of the system, which remembers what requests ask for most. It is safe for concurrent use.
type systemView struct {
	logical.SystemView

	replication     remembered[consts.ReplicationState]
	defaultLeaseTTL remembered[time.Duration]
	maxLeaseTTL     remembered[time.Duration]

	environment sync.Once
	// delivers is false if the Vault that runs the plugin drops events and observations.
	delivers bool
}

// newSystemView returns a view that remembers answers for maxAge of real time; zero means that it remembers none.
func newSystemView(vault logical.SystemView, maxAge time.Duration) *systemView {
	v := &systemView{SystemView: vault}
	v.replication = remembered[consts.ReplicationState]{ask: vault.ReplicationState, maxAge: maxAge, now: time.Now}
	v.defaultLeaseTTL = remembered[time.Duration]{ask: vault.DefaultLeaseTTL, maxAge: maxAge, now: time.Now}
	v.maxLeaseTTL = remembered[time.Duration]{ask: vault.MaxLeaseTTL, maxAge: maxAge, now: time.Now}
	return v
}

// ReplicationState implements logical.SystemView.
func (v *systemView) ReplicationState() consts.ReplicationState { return v.replication.get() }

// DefaultLeaseTTL implements logical.SystemView.
func (v *systemView) DefaultLeaseTTL() time.Duration { return v.defaultLeaseTTL.get() }

// MaxLeaseTTL implements logical.SystemView.
func (v *systemView) MaxLeaseTTL() time.Duration { return v.maxLeaseTTL.get() }

// deliversEvents reports whether the server delivers events to subscribers and records observations. Vault does so in its
// Enterprise edition only since 1.16, the oldest supported version: the Community Edition has no subscriptions, accepts
// both and drops them. OpenBao, whose versions begin at 2, has its own rules. Without an answer it is true.
func (v *systemView) deliversEvents(ctx context.Context) bool {
	v.environment.Do(func() {
		environment, err := v.PluginEnv(ctx)
		v.delivers = err != nil || environment == nil || !strings.HasPrefix(environment.VaultVersion, "1.") ||
			strings.Contains(environment.VaultVersionMetadata, "ent")
	})
	return v.delivers
}

// remembered is an answer of Vault, which is asked for again when it is older than maxAge. It is safe for concurrent use.
type remembered[T comparable] struct {
	ask    func() T
	maxAge time.Duration
	now    func() time.Time

	mu      sync.Mutex
	answer  T
	askedAt time.Time
}

// get returns the answer. Requests that come while Vault is being asked wait for its answer. The zero value is what the SDK
// returns when a question fails: it is not remembered.
func (r *remembered[T]) get() T {
	if r.maxAge <= 0 {
		return r.ask()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var unknown T
	if now := r.now(); r.answer == unknown || now.Sub(r.askedAt) > r.maxAge || now.Before(r.askedAt) {
		r.answer, r.askedAt = r.ask(), now
	}
	return r.answer
}
