package metrics

import (
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Config is a config that exists, with what must have series.
type Config struct {
	// Name and Vendor are names.
	Name, Vendor string
	// Operations are the operations at the vendor that the config can have.
	Operations []string
	// Roles are the names of its roles.
	Roles []string
}

// rejectionClasses are the classes of the errors for which no request is sent.
var rejectionClasses = []provider.Class{
	provider.ClassUnauthenticated, provider.ClassCapacity, provider.ClassRateLimited, provider.ClassUnavailable,
}

// outcomeClasses are the classes of the errors of vendor calls.
var outcomeClasses = []provider.Class{
	provider.ClassUnknown, provider.ClassInvalid, provider.ClassUnauthenticated, provider.ClassForbidden, provider.ClassNotFound,
	provider.ClassCapacity, provider.ClassRateLimited, provider.ClassUnavailable, provider.ClassAmbiguous,
}

// Sync makes the series those of the configs that exist. A series that could be counted exists at 0 before its first
// event: Prometheus computes no increase from a series that begins at 1. The series of other configs are deleted.
func (m *Metrics) Sync(configs []Config) {
	existing := make(map[string]bool, len(configs))
	for _, config := range configs {
		existing[config.Name] = true
		m.ensure(config)
	}
	m.configs.Range(func(name, _ any) bool {
		if !existing[name.(string)] {
			m.Forget(name.(string))
		}
		return true
	})
	m.roles.sync(configs)
}

// ensure creates the series of a config that do not exist yet.
func (m *Metrics) ensure(config Config) {
	m.known(config.Name)
	for _, operation := range config.Operations {
		m.calls.WithLabelValues(config.Name, config.Vendor, operation, outcomeOK)
		for _, class := range outcomeClasses {
			m.calls.WithLabelValues(config.Name, config.Vendor, operation, class.String())
		}
		for _, class := range rejectionClasses {
			m.rejections.WithLabelValues(config.Name, config.Vendor, operation, class.String())
		}
		m.durations.WithLabelValues(config.Name, config.Vendor, operation)
	}
	m.pacingWaits.WithLabelValues(config.Name, config.Vendor)
	m.slotWaits.WithLabelValues(config.Name, config.Vendor)
	m.rotations.WithLabelValues(config.Name, config.Vendor)
	m.rotationFailures.WithLabelValues(config.Name, config.Vendor)
	m.turnFailures.WithLabelValues(config.Name, config.Vendor)
}
