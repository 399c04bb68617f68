package backend

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// metrics counts what a mount does, since the start of its process on this node.
type metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	refusals *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vendorauth_vendor_calls_total",
			Help: "Operations at vendors, by their outcome: ok, or the class of the error.",
		}, []string{"vendor", "operation", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "vendorauth_refusals_total",
			Help: "Operations that were refused without asking the vendor, by the class of the error.",
		}, []string{"vendor", "operation", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "vendorauth_vendor_request_duration_seconds",
			Help:    "How long operations at vendors took.",
			Buckets: []float64{0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"vendor", "operation"}),
	}
	m.registry.MustRegister(m.calls, m.refusals, m.seconds)
	return m
}

// observeCall counts an operation at the vendor.
func (m *metrics) observeCall(vendor, operation string, took time.Duration, err error) {
	outcome := "ok"
	if err != nil {
		outcome = provider.ClassOf(err).String()
	}
	m.calls.WithLabelValues(vendor, operation, outcome).Inc()
	m.seconds.WithLabelValues(vendor, operation).Observe(took.Seconds())
}

// authFailed counts an operation that the vendor was not asked for.
func (m *metrics) countRejection(vendor, operation string, err error) {
	class := provider.ClassOf(err).String()
	if statusOf(err) == http.StatusConflict {
		class = provider.ClassCapacity.String()
	}
	m.refusals.WithLabelValues(vendor, operation, class).Inc()
}

func (b *backend) pathMetrics() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "metrics$",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "metrics"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.metricsRead, Summary: "Read the mount's metrics in Prometheus' text format.",
				ForwardPerformanceStandby: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "Metrics in Prometheus' text format.", MediaType: string(expfmt.NewFormat(expfmt.TypeTextPlain)),
				}}},
			},
		},
		HelpSynopsis: "The mount's metrics in Prometheus' text format.",
		HelpDescription: "Counts what was done at each vendor and how it ended, how long the vendors took, the credentials of each " +
			"config by state, its limit, and the revocations that are still to be done. Needs a token like every other path.",
	}}
}

// metricsRead answers with the counters of this process and with the books' state of this moment.
func (b *backend) metricsRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	state := prometheus.NewRegistry()
	if err := b.describeLedger(ctx, req.Storage, state); err != nil {
		return nil, err
	}
	gathered, err := prometheus.Gatherers{b.metrics.registry, state}.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering the metrics: %w", err)
	}
	var text bytes.Buffer
	for _, family := range gathered {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			return nil, fmt.Errorf("writing the metrics: %w", err)
		}
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode:  http.StatusOK,
		logical.HTTPContentType: string(expfmt.NewFormat(expfmt.TypeTextPlain)),
		logical.HTTPRawBody:     text.Bytes(),
	}}, nil
}

// describeLedger sets gauges to what the books say.
func (b *backend) describeLedger(ctx context.Context, storage logical.Storage, registry *prometheus.Registry) error {
	labels := []string{"config", "vendor"}
	credentials := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vendorauth_credentials", Help: "Credentials that are or may be alive, by state.",
	}, append(labels, "state"))
	limit := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vendorauth_credentials_limit", Help: "How many credentials may be alive at once; 0 is unlimited.",
	}, labels)
	failing := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vendorauth_failed_revocations", Help: "Credentials whose revocation has failed and is tried again.",
	}, labels)
	registry.MustRegister(credentials, limit, failing)

	names, err := storage.List(ctx, configPrefix)
	if err != nil {
		return fmt.Errorf("listing the configs: %w", err)
	}
	for _, name := range names {
		config, err := b.config(ctx, storage, name)
		if err != nil {
			return err
		}
		if config == nil {
			continue
		}
		entries, err := b.ledger.List(ctx, storage, name)
		if err != nil {
			return err
		}
		limit.WithLabelValues(name, config.Vendor).Set(float64(config.MaxCredentials))
		failing.WithLabelValues(name, config.Vendor).Set(0)
		for i := range entries {
			credentials.WithLabelValues(name, config.Vendor, string(entries[i].State)).Inc()
			if entries[i].Attempts > 0 {
				failing.WithLabelValues(name, config.Vendor).Inc()
			}
		}
	}
	return nil
}
