package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// samplesOf returns a baseline and a scenario that takes twice the CPU time at half the speed.
func samplesOf() []*sample {
	latencies := func(n int) []time.Duration {
		var all []time.Duration
		for i := range n {
			all = append(all, time.Duration(i+1)*time.Millisecond)
		}
		return all
	}
	base := &sample{scenario: scenario{Name: baselineWhole, Renewable: true}, clients: targetClients}
	base.read = phase{latencies: latencies(100), elapsed: time.Second, cpu: 100 * time.Millisecond}
	base.renew, base.revoke = base.read, base.read
	engine := &sample{scenario: scenario{Name: "trend exclusive", Baseline: baselineWhole, Renewable: true, Engine: true}, clients: targetClients}
	engine.read = phase{latencies: latencies(100), elapsed: 2 * time.Second, cpu: 200 * time.Millisecond, vendorCalls: 150}
	engine.renew, engine.revoke = engine.read, engine.read
	return []*sample{base, engine}
}

func TestRowsOf_ScenarioWithBaseline_HasRatios(t *testing.T) {
	rows := rowsOf(samplesOf())
	require.Equal(t, figures{
		PerSecond: 50, P50: 51, P99: 100, CPU: 2000, VendorCalls: 1.5, Requests: 100, CPURatio: 2, SpeedRatio: 0.5,
	}, rows[1].Read)
	require.Equal(t, rows[1].Read, *rows[1].Renew)
	require.Zero(t, rows[0].Read.CPURatio, "a baseline has no baseline")
}

func TestWriteTargets_TooSlow_AreCounted(t *testing.T) {
	var out bytes.Buffer
	rows := rowsOf(samplesOf())
	require.NoError(t, writeTables(&out, report{Rows: rows}, "targets"))
	require.Equal(t, 4, countMissed(rows), out.String())
	require.Equal(t, 4, strings.Count(out.String(), "MISSED"))
	require.NotContains(t, out.String(), "ftd", "what was not measured is not judged")
}

func TestRun_ErrorOfOneRequest_EndsTheRun(t *testing.T) {
	broken := errors.New("broken")
	var requests atomic.Int64
	_, _, err := run(t.Context(), 4, 0, func(context.Context) (bool, error) {
		if requests.Add(1) == 10 {
			return false, broken
		}
		return true, nil
	})
	require.ErrorIs(t, err, broken)
}

func TestRun_NothingLeft_ReturnsAllLatencies(t *testing.T) {
	var requests atomic.Int64
	latencies, _, err := run(t.Context(), 4, 0, func(context.Context) (bool, error) { return requests.Add(1) <= 100, nil })
	require.NoError(t, err)
	require.Len(t, latencies, 100)
}

func TestDrawBars_OddLabels_GiveValidXML(t *testing.T) {
	decoder := xml.NewDecoder(strings.NewReader(drawBars("a < b & c", []bar{{"<&>", 0, true}, {"other", 2, false}}, "%.1f")))
	for {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
}

func TestScenarios_Baselines_Exist(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range scenarios(false) {
		require.False(t, names[s.Name], "%s exists twice", s.Name)
		names[s.Name] = true
	}
	for _, s := range scenarios(false) {
		if s.Baseline != "" {
			require.True(t, names[s.Baseline], s.Name)
		}
	}
}
