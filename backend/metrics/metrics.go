// Package metrics counts what a mount does, for Prometheus: the calls to vendors, the waiting of requests, and the
// issued, renewed and revoked credentials. Each series names the config, and where it helps the role, so that an alert
// names the culprit. The package knows neither Vault nor a vendor.
//
// The number of series is bounded: by the configs that exist, and by [MaxRoles] pairs of config and role.
package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Names of labels.
const (
	// LabelMount is the path of the mount. Vault gives a plugin no accessor.
	LabelMount = "mount"
	// LabelConfig, LabelVendor and LabelRole are names.
	LabelConfig = "config"
	LabelVendor = "vendor"
	LabelRole   = "role"

	labelOperation = "operation"
	labelOutcome   = "outcome"
	labelClass     = "class"
)

// outcomeOK is the outcome of a call without an error.
const outcomeOK = "ok"

// Metrics counts since the start of the process on this node. It is safe for concurrent use.
type Metrics struct {
	// configs are the names of the configs that have series.
	configs sync.Map

	calls            *prometheus.CounterVec
	rejections       *prometheus.CounterVec
	durations        *prometheus.HistogramVec
	pacingWaits      *prometheus.HistogramVec
	slotWaits        *prometheus.HistogramVec
	rotations        *prometheus.CounterVec
	rotationFailures *prometheus.CounterVec
	turnFailures     *prometheus.CounterVec
	roles            *roleCounters
}

// New returns metrics without series.
func New() *Metrics {
	labels := []string{LabelConfig, LabelVendor}
	counter := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append(labels[:2:2], more...))
	}
	histogram := func(name, help string, buckets []float64, more ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, append(labels[:2:2], more...))
	}
	return &Metrics{
		calls: counter("vendorauth_vendor_calls_total",
			"Operations at vendors, by their outcome: ok, or the class of the error.", labelOperation, labelOutcome),
		rejections: counter("vendorauth_rejections_total",
			"Operations that were rejected without a request to the vendor, by the class of the error.", labelOperation, labelClass),
		durations: histogram("vendorauth_vendor_request_duration_seconds",
			"How long operations at vendors took.", []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}, labelOperation),
		pacingWaits: histogram("vendorauth_pacing_wait_duration_seconds",
			"How long requests to vendors waited for their turn (requests_per_minute).", []float64{0.01, 1, 5, 15, 60}),
		slotWaits: histogram("vendorauth_slot_wait_duration_seconds",
			"How long reads waited for a free slot (max_credentials, max_wait).", []float64{0.01, 1, 5, 15, 60}),
		rotations: counter("vendorauth_root_rotations_total",
			"Rotations of the root credential that succeeded."),
		rotationFailures: counter("vendorauth_root_rotation_failures_total",
			"Rotations of the root credential that failed."),
		turnFailures: counter("vendorauth_worker_turn_failures_total",
			"Turns of the background work on a config that failed and are retried."),
		roles: newRoleCounters(),
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, v := range m.vectors() {
		v.Describe(descs)
	}
}

// Collect implements [prometheus.Collector]. The series have no label for the mount; see [Text].
func (m *Metrics) Collect(metrics chan<- prometheus.Metric) {
	for _, v := range m.vectors() {
		v.Collect(metrics)
	}
}

// ObserveCall counts an operation at the vendor and its duration.
func (m *Metrics) ObserveCall(config, vendor, operation string, took time.Duration, err error) {
	outcome := outcomeOK
	if err != nil {
		outcome = provider.ClassOf(err).String()
	}
	m.calls.WithLabelValues(m.known(config), vendor, operation, outcome).Inc()
	m.durations.WithLabelValues(m.known(config), vendor, operation).Observe(took.Seconds())
}

// CountRejection counts an operation that was rejected without a request to the vendor.
func (m *Metrics) CountRejection(config, vendor, operation string, class provider.Class) {
	m.rejections.WithLabelValues(m.known(config), vendor, operation, class.String()).Inc()
}

// ObservePacing records how long a request to the vendor waited for its turn. Most wait for no time.
func (m *Metrics) ObservePacing(config, vendor string, waited time.Duration) {
	m.pacingWaits.WithLabelValues(m.known(config), vendor).Observe(waited.Seconds())
}

// ObserveSlotWait records how long a read waited for a slot. Most wait for no time.
func (m *Metrics) ObserveSlotWait(config, vendor string, waited time.Duration) {
	m.slotWaits.WithLabelValues(m.known(config), vendor).Observe(waited.Seconds())
}

// CountRotation counts a rotation of a root credential by its outcome.
func (m *Metrics) CountRotation(config, vendor string, err error) {
	if err != nil {
		m.rotationFailures.WithLabelValues(m.known(config), vendor).Inc()
		return
	}
	m.rotations.WithLabelValues(m.known(config), vendor).Inc()
}

// CountTurnFailure counts a failed turn of the background work.
func (m *Metrics) CountTurnFailure(config, vendor string) {
	m.turnFailures.WithLabelValues(m.known(config), vendor).Inc()
}

// CountIssued counts a credential that the vendor has issued for a role.
func (m *Metrics) CountIssued(config, role string) {
	m.roles.count(m.roles.issued, m.known(config), role)
}

// CountRenewed counts the renewal of a lease on a credential of a role.
func (m *Metrics) CountRenewed(config, role string) {
	m.roles.count(m.roles.renewed, m.known(config), role)
}

// CountRevoked counts a credential of a role that has ended: the vendor has confirmed it, or it has expired.
func (m *Metrics) CountRevoked(config, role string) {
	m.roles.count(m.roles.revoked, m.known(config), role)
}

// Forget deletes the series of a config that was deleted.
func (m *Metrics) Forget(config string) {
	m.configs.Delete(config)
	m.roles.forget(config)
	for _, v := range m.vectors() {
		v.DeletePartialMatch(prometheus.Labels{LabelConfig: config})
	}
}

// known records that a config has series, and returns its name.
func (m *Metrics) known(config string) string {
	m.configs.Store(config, struct{}{})
	return config
}

// vector is what the metrics with labels have in common.
type vector interface {
	prometheus.Collector
	DeletePartialMatch(labels prometheus.Labels) int
}

func (m *Metrics) vectors() []vector {
	return []vector{
		m.calls, m.rejections, m.durations, m.pacingWaits, m.slotWaits, m.rotations, m.rotationFailures, m.turnFailures,
		m.roles.issued, m.roles.renewed, m.roles.revoked,
	}
}
