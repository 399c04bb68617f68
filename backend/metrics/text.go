package metrics

import (
	"bytes"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// ContentType returns the content type of [Text].
func ContentType() string { return string(expfmt.NewFormat(expfmt.TypeTextPlain)) }

// Text returns what the collectors collect, with the label of the mount, in Prometheus' text format.
func Text(mount string, collectors ...prometheus.Collector) ([]byte, error) {
	registry := prometheus.NewRegistry()
	labeled := prometheus.WrapRegistererWith(prometheus.Labels{LabelMount: mount}, registry)
	for _, collector := range collectors {
		if err := labeled.Register(collector); err != nil {
			return nil, fmt.Errorf("registering the metrics: %w", err)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		return nil, fmt.Errorf("gathering the metrics: %w", err)
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			return nil, fmt.Errorf("writing the metrics: %w", err)
		}
	}
	return text.Bytes(), nil
}
