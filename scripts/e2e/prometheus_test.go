package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// prometheus is a running Prometheus server.
type prometheus struct {
	program *devserver.Program
	address string
}

// ensurePrometheus puts prometheus and promtool into bin, and returns that directory.
func ensurePrometheus(t *testing.T) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "../ensure-prometheus.sh").CombinedOutput()
	require.NoError(t, err, "%s", output)
	return filepath.Join(repository(t), "bin")
}

// promtool runs promtool on some input, which has to succeed.
func promtool(t *testing.T, dir, input string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(ensurePrometheus(t), "promtool"), args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "promtool %s:\n%s", strings.Join(args, " "), output)
}

// startPrometheus starts Prometheus in the directory of its configuration, and stops it when the test ends.
func startPrometheus(t *testing.T, dir string) *prometheus {
	t.Helper()
	p := &prometheus{address: freeAddress(t)}
	cmd := exec.Command(filepath.Join(ensurePrometheus(t), "prometheus"),
		"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+p.address)
	cmd.Dir, cmd.Env = dir, os.Environ()
	p.program = startProgram(t, filepath.Join(dir, "log"), cmd)
	return p
}

// sample is a series with its values over time.
type sample struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`
	Values [][2]any          `json:"values"`
}

// point is a value at a time, in seconds. A value that is not a number is NaN.
type point struct{ at, value float64 }

func pointOf(raw [2]any) point {
	at, _ := raw[0].(float64)
	text, _ := raw[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		value = math.NaN()
	}
	return point{at, value}
}

// query evaluates an expression now.
func (p *prometheus) query(ctx context.Context, expr string) ([]sample, error) {
	return p.get(ctx, "query", url.Values{"query": {expr}})
}

// queryRange evaluates an expression over a time.
func (p *prometheus) queryRange(ctx context.Context, expr string, from, to time.Time) ([]sample, error) {
	return p.get(ctx, "query_range", url.Values{
		"query": {expr}, "step": {"1"},
		"start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix(), 10)},
	})
}

func (p *prometheus) get(ctx context.Context, endpoint string, parameters url.Values) ([]sample, error) {
	var answer struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := p.call(ctx, endpoint+"?"+parameters.Encode(), &answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", parameters.Get("query"), answer.Error)
	}
	return answer.Data.Result, nil
}

// ruleHealth returns the state of each alert rule: "ok" after an evaluation without an error.
func (p *prometheus) ruleHealth(ctx context.Context) (map[string]string, error) {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := p.call(ctx, "rules", &answer); err != nil {
		return nil, err
	}
	health := map[string]string{}
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			health[rule.Name] = rule.Health + rule.LastError
		}
	}
	return health, nil
}

func (p *prometheus) call(ctx context.Context, path string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	return json.NewDecoder(response.Body).Decode(answer)
}

// awaitData waits until an expression has a result with a number, and returns it.
func (p *prometheus) awaitData(t *testing.T, expr string) []sample {
	t.Helper()
	var (
		found []sample
		err   error
	)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline) && p.program.Running(); time.Sleep(pollInterval) {
		if found, err = p.query(t.Context(), expr); err != nil {
			continue
		}
		for _, s := range found {
			if !math.IsNaN(pointOf(s.Value).value) {
				return found
			}
		}
	}
	require.FailNow(t, "no data", "%s: %v, %v\n%s", expr, found, err, p.program.Output())
	return nil
}
