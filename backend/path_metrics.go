package backend

import (
	"bytes"
	"context"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

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
		HelpDescription: "Contains the requests to each vendor with result and duration, the credentials of each config by state, the limit of " +
			"each config, and the pending revocations. Reading it requires a token, as for every other path.",
	}}
}

// metricsRead returns the counters of this process and the present state of the ledger.
func (b *backend) metricsRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	state := prometheus.NewRegistry()
	if err := b.describeLedger(ctx, req.Storage, state); err != nil {
		return nil, err
	}
	gathered, err := prometheus.Gatherers{b.pool.Metrics.Gatherer(), state}.Gather()
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

// describeLedger sets gauges from the ledger.
func (b *backend) describeLedger(ctx context.Context, storage logical.Storage, registry *prometheus.Registry) error {
	labels := []string{"config", "vendor"}
	credentials := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vendorauth_credentials", Help: "Credentials that are or may be alive, by state.",
	}, append(labels, "state"))
	limit := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vendorauth_credentials_limit", Help: "How many credentials may be alive at once; 0 is unlimited.",
	}, labels)
	failing := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "vendorauth_failed_revocations", Help: "Credentials whose revocation has failed and will be retried.",
	}, labels)
	registry.MustRegister(credentials, limit, failing)

	names, err := b.store.ConfigNames(ctx, storage)
	if err != nil {
		return err
	}
	for _, name := range names {
		config, err := b.store.Config(ctx, storage, name)
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
