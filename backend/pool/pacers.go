package pool

import (
	"maps"
	"slices"
	"sync"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// pacers holds the pacer of each root credential. A vendor counts the requests of a root credential, whatever config they
// are for: configs that share one share its pacer, and the smallest of their limits counts. It is safe for concurrent use.
type pacers struct {
	clock provider.Clock

	mu     sync.Mutex
	byRoot map[rootKey]*rootPacer
	// rootOf names the root credential of each stored config that is known.
	rootOf map[string]rootKey
}

// rootPacer is the pacer of a root credential.
type rootPacer struct {
	*pacer
	// limits are those of the stored configs that have the root credential, by name, in requests per minute. Zero is
	// unlimited.
	limits map[string]int
}

func newPacers(clock provider.Clock) *pacers {
	return &pacers{clock: clock, byRoot: make(map[rootKey]*rootPacer), rootOf: make(map[string]rootKey)}
}

// get returns the pacer of a root credential. perMinute is its limit as long as no stored config has the root credential: a
// config that is not stored yet must not change the limit of one that is, and one that was deleted or refused counts no more.
func (p *pacers) get(root rootKey, perMinute int) *pacer {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared := p.getLocked(root)
	if len(shared.limits) == 0 {
		shared.setLimit(perMinute)
	}
	return shared.pacer
}

// getLocked returns the pacer of a root credential, without a limit if it is new. The lock is held.
func (p *pacers) getLocked(root rootKey) *rootPacer {
	known, ok := p.byRoot[root]
	if !ok {
		if len(p.byRoot) >= maxRoots {
			maps.DeleteFunc(p.byRoot, func(_ rootKey, r *rootPacer) bool { return len(r.limits) == 0 && r.idle() })
		}
		known = &rootPacer{newPacer(p.clock, 0), make(map[string]int)}
		p.byRoot[root] = known
	}
	return known
}

// setLimit sets the limit of a stored config, and the root credential that it applies to.
func (p *pacers) setLimit(config string, root rootKey, perMinute int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rootOf[config] != root {
		p.drop(config)
	}
	p.rootOf[config] = root
	shared := p.getLocked(root)
	shared.limits[config] = perMinute
	shared.applySmallest()
}

// forget forgets the limit of a config.
func (p *pacers) forget(config string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(config)
}

// configs returns the names of the configs whose limits are known.
func (p *pacers) configs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.rootOf))
}

// drop forgets the limit of a config, if there is one. A root credential that no config has any more keeps its limit until
// the next request with it, which can be one of a connection that is still in use. The lock is held.
func (p *pacers) drop(config string) {
	root, known := p.rootOf[config]
	if !known {
		return
	}
	delete(p.rootOf, config)
	shared := p.byRoot[root]
	delete(shared.limits, config)
	if len(shared.limits) > 0 {
		shared.applySmallest()
	}
}

// applySmallest makes the smallest limit of the configs that of the pacer. Zero, unlimited, counts only if all are zero.
func (r *rootPacer) applySmallest() {
	smallest := 0
	for _, limit := range r.limits {
		if limit > 0 && (smallest == 0 || limit < smallest) {
			smallest = limit
		}
	}
	r.setLimit(smallest)
}

// waiting returns how many requests wait for their turn with a root credential.
func (p *pacers) waiting(root rootKey) int {
	p.mu.Lock()
	known := p.byRoot[root]
	p.mu.Unlock()
	if known == nil {
		return 0
	}
	return known.queued()
}
