package pool

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// maxHosts bounds how many hosts a connection remembers. A vendor has one or two.
const maxHosts = 8

// RootStatus is what the vendor's answers since the start of the process say about a root credential.
type RootStatus struct {
	// AcceptedAt is when the vendor last accepted the root credential, or a login that was made with it. Zero if it
	// was not asked.
	AcceptedAt time.Time
	// Rejected is true if the vendor has rejected the root credential, and has not accepted it since.
	Rejected bool
	// ExpiresAt is when the root credential expires. Zero if it does not, or if no check has asked the vendor, or
	// if the vendor does not report it.
	ExpiresAt time.Time
}

// RootStatus returns what is known of a config's root credential.
func (p *Pool) RootStatus(entry *store.Config) RootStatus {
	root := p.auth.rootOf(entry)
	p.auth.mu.Lock()
	defer p.auth.mu.Unlock()
	return p.auth.statuses[root]
}

// observeRoot records what the outcome of an operation says about the root credential. Renewals and revocations can
// succeed without one.
func (p *Pool) observeRoot(root rootKey, operation string, err error, now time.Time) {
	switch {
	case err == nil && operation != OperationRenew && operation != OperationRevoke:
		p.auth.changeStatus(root, func(s *RootStatus) { s.AcceptedAt, s.Rejected = now, false })
	case provider.ClassOf(err) == provider.ClassUnauthenticated && !errors.Is(err, provider.ErrNotSent):
		p.auth.changeStatus(root, func(s *RootStatus) { s.Rejected = true })
	}
}

// setExpiry records when a root credential expires.
func (m *authMemory) setExpiry(root rootKey, expiresAt time.Time) {
	m.changeStatus(root, func(s *RootStatus) { s.ExpiresAt = expiresAt })
}

func (m *authMemory) changeStatus(root rootKey, change func(*RootStatus)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	status, known := m.statuses[root]
	if !known && len(m.statuses) >= maxRoots {
		// Most belong to root credentials that were replaced. Those in use are known again after the next call.
		clear(m.statuses)
	}
	change(&status)
	m.statuses[root] = status
}

// BreakerState is the state of a circuit breaker.
type BreakerState string

// The states of a circuit breaker.
const (
	// BreakerClosed: requests are sent.
	BreakerClosed BreakerState = "closed"
	// BreakerHalfOpen: one request is sent, and its outcome decides.
	BreakerHalfOpen BreakerState = "half_open"
	// BreakerOpen: no request is sent.
	BreakerOpen BreakerState = "open"
)

// BreakerState returns the worst state of the breakers that concern a config: those of its operations, and those of
// the hosts that it has sent requests to.
func (p *Pool) BreakerState(config string) BreakerState {
	p.mu.Lock()
	conn := p.open[config]
	p.mu.Unlock()
	if conn == nil {
		return BreakerClosed
	}
	conn.mu.Lock()
	hosts := slices.Collect(maps.Keys(conn.hosts))
	conn.mu.Unlock()
	switch max(conn.operations.worst(conn.operations.names()), p.breakers.worst(hosts)) {
	case gobreaker.StateOpen:
		return BreakerOpen
	case gobreaker.StateHalfOpen:
		return BreakerHalfOpen
	case gobreaker.StateClosed:
	}
	return BreakerClosed
}

// names returns the names of all breakers.
func (b *breakers) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Keys(b.byName))
}

// worst returns the worst state of the breakers with these names. gobreaker orders the states: closed, half-open, open.
func (b *breakers) worst(names []string) gobreaker.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	worst := gobreaker.StateClosed
	for _, name := range names {
		if found, ok := b.byName[name]; ok {
			worst = max(worst, found.State())
		}
	}
	return worst
}

// addHost records that the connection sends requests to a host.
func (c *Conn) addHost(host string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.hosts) < maxHosts {
		c.hosts[host] = struct{}{}
	}
}

// Waiting returns how many requests wait for their turn with a config's root credential (requests_per_minute). It
// includes those of other configs with the same root credential.
func (p *Pool) Waiting(entry *store.Config) int {
	return p.pacers.waiting(p.auth.pacedOf(entry))
}
