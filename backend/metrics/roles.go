package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// MaxRoles bounds how many pairs of config and role have series of their own.
	MaxRoles = 1000

	// OtherRoles is the label of all roles beyond MaxRoles. It is no name of a role.
	OtherRoles = "(other)"
)

// rolePair is a config and one of its roles.
type rolePair struct{ config, role string }

// roleCounters count by role. It is safe for concurrent use.
type roleCounters struct {
	issued, renewed, revoked *prometheus.CounterVec

	mu sync.Mutex
	// known are the pairs that have series of their own.
	known map[rolePair]bool
}

func newRoleCounters() *roleCounters {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{LabelConfig, LabelRole})
	}
	return &roleCounters{
		issued:  counter("vendorauth_credentials_issued_total", "Credentials that vendors have issued. Readers that share one count once."),
		renewed: counter("vendorauth_credentials_renewed_total", "Renewals of leases. Each lease on a shared credential counts."),
		revoked: counter("vendorauth_credentials_revoked_total", "Credentials that have ended: the vendor has confirmed it, or they have expired."),
		known:   make(map[rolePair]bool),
	}
}

func (r *roleCounters) vectors() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{r.issued, r.renewed, r.revoked}
}

// count adds one to a counter of a role. The lock is held until then, so that a deletion of the series loses nothing
// that is counted after it.
func (r *roleCounters) count(counter *prometheus.CounterVec, config, role string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	counter.WithLabelValues(config, r.label(rolePair{config, role})).Inc()
}

// label returns the label of a role, and creates the series of a new one at 0. The lock is held.
func (r *roleCounters) label(pair rolePair) string {
	if r.known[pair] {
		return pair.role
	}
	if len(r.known) >= MaxRoles {
		pair.role = OtherRoles
	} else {
		r.known[pair] = true
	}
	for _, vector := range r.vectors() {
		vector.WithLabelValues(pair.config, pair.role)
	}
	return pair.role
}

// sync creates the series of the roles that exist. When it needs the space, it deletes those of roles that no longer
// exist. Otherwise these stay: credentials of a deleted role still end.
func (r *roleCounters) sync(configs []Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	existing := make(map[rolePair]bool)
	missing := 0
	for _, config := range configs {
		for _, role := range config.Roles {
			pair := rolePair{config.Name, role}
			existing[pair] = true
			if !r.known[pair] {
				missing++
			}
		}
	}
	if len(r.known)+missing > MaxRoles {
		for pair := range r.known {
			if !existing[pair] {
				r.delete(pair)
			}
		}
	}
	for _, config := range configs {
		for _, role := range config.Roles {
			r.label(rolePair{config.Name, role})
		}
	}
}

// forget deletes the series of a config.
func (r *roleCounters) forget(config string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, vector := range r.vectors() {
		vector.DeletePartialMatch(prometheus.Labels{LabelConfig: config})
	}
	for pair := range r.known {
		if pair.config == config {
			delete(r.known, pair)
		}
	}
}

// delete deletes the series of a role. The lock is held.
func (r *roleCounters) delete(pair rolePair) {
	for _, vector := range r.vectors() {
		vector.DeleteLabelValues(pair.config, pair.role)
	}
	delete(r.known, pair)
}
