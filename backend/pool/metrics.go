package pool

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Metrics counts the calls to vendors since the start of the process on this node. It is safe for concurrent
// use.
type Metrics struct {
	registry   *prometheus.Registry
	calls      *prometheus.CounterVec
	rejections *prometheus.CounterVec
	seconds    *prometheus.HistogramVec
}

func newMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vendorauth_vendor_calls_total",
			Help: "Operations at vendors, by their outcome: ok, or the class of the error.",
		}, []string{"vendor", "operation", "outcome"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vendorauth_rejections_total",
			Help: "Operations that were rejected without a request to the vendor, by the class of the error.",
		}, []string{"vendor", "operation", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vendorauth_vendor_request_duration_seconds",
			Help:    "How long operations at vendors took.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"vendor", "operation"}),
	}
	m.registry.MustRegister(m.calls, m.rejections, m.seconds)
	return m
}

// Gatherer returns the metrics for Prometheus.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// ObserveCall counts an operation at the vendor and its duration.
func (m *Metrics) ObserveCall(vendor, operation string, took time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = provider.ClassOf(err).String()
	}
	m.calls.WithLabelValues(vendor, operation, outcome).Inc()
	m.seconds.WithLabelValues(vendor, operation).Observe(took.Seconds())
}

// CountRejection counts an operation that was rejected without a request to the vendor.
func (m *Metrics) CountRejection(vendor, operation string, class provider.Class) {
	m.rejections.WithLabelValues(vendor, operation, class.String()).Inc()
}
