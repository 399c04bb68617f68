package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// dashboard is the part of a Grafana dashboard that the test reads.
type dashboard struct {
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []dashboardPanel
}

// dashboardPanel is one panel of a dashboard.
type dashboardPanel struct {
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct{ Expr, LegendFormat string }
}

// expression returns an expression as Grafana sends it when everything is selected.
func expression(expr string) string {
	return strings.NewReplacer(`"$mount"`, `".*"`, `"$config"`, `".*"`, "$__rate_interval", "10s").Replace(expr)
}

// readMonitoring reads a file of the directory scripts/monitoring.
func readMonitoring(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "monitoring", name))
	require.NoError(t, err)
	return string(text)
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	require.NoError(t, json.Unmarshal([]byte(readMonitoring(t, "dashboard.json")), &d))
	require.NotEmpty(t, d.Panels)
	return d
}

// replaceOnce replaces a text that must occur exactly once.
func replaceOnce(t *testing.T, text, old, next string) string {
	t.Helper()
	require.Equal(t, 1, strings.Count(text, old), "%s", old)
	return strings.Replace(text, old, next, 1)
}

// writePrometheusConfig writes the files of the monitoring for one mount of the test's server, which has no TLS.
func writePrometheusConfig(t *testing.T, dir, mountPath string) {
	t.Helper()
	config := readMonitoring(t, "prometheus.yml")
	config = replaceOnce(t, config, "/v1/vendorauth/metrics", "/v1/"+mountPath+"/metrics")
	config = replaceOnce(t, config, "scheme: https", "scheme: http")
	config = replaceOnce(t, config, "    tls_config:\n      ca_file: vault-ca.pem\n", "")
	config = replaceOnce(t, config, "vault.example.com:8200", strings.TrimPrefix(server.Client().Address(), "http://"))
	config = replaceOnce(t, config, "scrape_interval: 30s", "scrape_interval: 1s")
	config = "global:\n  evaluation_interval: 1s\n" + config
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))
	for _, name := range []string{"rules.yml", "rules_test.yml", "agent.hcl"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(readMonitoring(t, name)), 0o600))
	}
}

// startMetricsAgent starts the agent that keeps Prometheus' token in a file, and returns the token.
func startMetricsAgent(t *testing.T, client *api.Client, dir, mountPath string) string {
	t.Helper()
	enableAppRole(t, client)
	name := mountPath + "-metrics"
	policy := replaceOnce(t, readMonitoring(t, "policy.hcl"), "vendorauth/metrics", mountPath+"/metrics")
	require.NoError(t, client.Sys().PutPolicyWithContext(t.Context(), name, policy))
	write(t, client, "auth/approle/role/"+name, map[string]any{"token_policies": name, "token_period": "20m"})
	roleID := read(t, client, "auth/approle/role/"+name+"/role-id").Data["role_id"].(string)
	secretID := write(t, client, "auth/approle/role/"+name+"/secret-id", nil).Data["secret_id"].(string)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "role-id"), []byte(roleID), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret-id"), []byte(secretID), 0o600))
	agent := runVault(t, "agent", "agent.hcl", dir, "")
	var token []byte
	require.Eventually(t, func() bool {
		var err error
		token, err = os.ReadFile(filepath.Join(dir, "vault-token"))
		return err == nil && len(token) > 0
	}, time.Minute, pollInterval, "%s", agent.Output())
	return strings.TrimSpace(string(token))
}

// makeTraffic issues, renews and revokes a credential of each role.
func makeTraffic(t *testing.T, client *api.Client, mountPath string, vendors []vendorfacts.Vendor) {
	t.Helper()
	for _, vendor := range vendors {
		secret := read(t, client, mountPath+"/creds/"+vendor.Name+"-app")
		if secret.Renewable {
			_, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, 0)
			require.NoError(t, err)
		}
		revokeLease(t, client, secret.LeaseID)
	}
}

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, mountPath, token string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Client().Address()+"/v1/"+mountPath+"/metrics", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, "%s", text)
	require.Contains(t, response.Header.Get("Content-Type"), "text/plain; version=0.0.4")
	return string(text)
}

func TestMonitoring_RealPrometheus_EveryPanelHasData(t *testing.T) {
	client, mountPath := reset(t)
	vendors := vendorfacts.All()
	for _, vendor := range vendors {
		write(t, client, mountPath+"/config/"+vendor.Name, configFields(t, vendor.Name))
		write(t, client, mountPath+"/roles/"+vendor.Name+"-app", roleFields(vendor, map[string]any{"config": vendor.Name, "ttl": "10m"}))
	}
	dir := t.TempDir()
	writePrometheusConfig(t, dir, mountPath)
	token := startMetricsAgent(t, client, dir, mountPath)
	requireMetricsTokenOnly(t, token, mountPath)
	promtool(t, dir, "", "check", "config", "prometheus.yml")
	promtool(t, dir, "", "check", "rules", "rules.yml")
	promtool(t, dir, "", "test", "rules", "rules_test.yml")
	exposed := scrape(t, mountPath, token)
	promtool(t, dir, exposed, "check", "metrics")
	requireNamesExposed(t, exposed)

	p := startPrometheus(t, dir)
	began := time.Now()
	p.awaitData(t, `up{job="vendorauth"} == 1`)
	makeTraffic(t, client, mountPath, vendors)
	// FortiSIEM serves a token request only every five seconds.
	fast := slices.DeleteFunc(slices.Clone(vendors), func(v vendorfacts.Vendor) bool { return v.Name == "fortisiem" })
	failRevocation(t, client, mountPath)
	d := readDashboard(t)
	for _, panel := range d.Panels {
		makeTraffic(t, client, mountPath, fast)
		for _, target := range panel.Targets {
			found := p.awaitData(t, expression(target.Expr))
			if panel.Type == "stat" {
				require.Len(t, found, 1, "panel %q shows one number", panel.Title)
			}
		}
	}
	requireVariables(t, p, d)
	requireAlerts(t, client, p, mountPath)
	if file := os.Getenv("VENDORAUTH_DASHBOARD_PICTURE"); file != "" {
		drawDashboard(t, p, d, began, file)
	}
}

// requireMetricsTokenOnly requires that Prometheus' token reads the metrics and nothing else.
func requireMetricsTokenOnly(t *testing.T, token, mountPath string) {
	t.Helper()
	client := vault(t)
	client.SetToken(token)
	for _, path := range []string{"/creds/ftd-app", "/config/ftd", "/config/ftd/credentials", "/roles/ftd-app", "/info"} {
		_, err := client.Logical().ReadWithContext(t.Context(), mountPath+path)
		var refused *api.ResponseError
		require.ErrorAs(t, err, &refused, "%s", path)
		require.Equal(t, http.StatusForbidden, refused.StatusCode, "%s", path)
	}
}

// metricName matches the names of the engine's metrics in an expression.
var metricName = regexp.MustCompile(`\bvendorauth_[a-z_]+\b`)

// requireNamesExposed requires that the engine exposes each metric that an alert or a panel names.
func requireNamesExposed(t *testing.T, exposed string) {
	t.Helper()
	names := metricName.FindAllString(readMonitoring(t, "rules.yml")+readMonitoring(t, "dashboard.json"), -1)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		require.Contains(t, exposed, "\n"+name+"{", "%s", name)
	}
}

// failRevocation leaves a credential whose revocation fails, at a device that does not answer. The configs of other
// vendors go on.
func failRevocation(t *testing.T, client *api.Client, mountPath string) {
	t.Helper()
	secret := read(t, client, mountPath+"/creds/trend-app")
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden, Times: 1}))
	require.Error(t, client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}))
}

// requireVariables requires that the label values of each variable of the dashboard exist.
func requireVariables(t *testing.T, p *prometheus, d dashboard) {
	t.Helper()
	definition := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	found := 0
	for _, variable := range d.Templating.List {
		if variable.Type != "query" {
			continue
		}
		parts := definition.FindStringSubmatch(variable.Definition)
		require.NotNil(t, parts, "%s", variable.Definition)
		for _, s := range p.awaitData(t, expression(parts[1])) {
			require.NotEmpty(t, s.Metric[parts[2]], "%s", variable.Name)
		}
		found++
	}
	require.Equal(t, 2, found)
}

// requireAlerts requires that every alert was evaluated without an error, and that one of them names the config whose
// root credential the vendor rejects.
func requireAlerts(t *testing.T, client *api.Client, p *prometheus, mountPath string) {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert string `yaml:"alert"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal([]byte(readMonitoring(t, "rules.yml")), &rules))
	tests := readMonitoring(t, "rules_test.yml")
	for _, rule := range rules.Groups[0].Rules {
		require.Contains(t, tests, "  - name: "+rule.Alert+"\n", "each alert has a test")
		require.Eventually(t, func() bool {
			health, err := p.ruleHealth(t.Context())
			return err == nil && health[rule.Alert] == "ok"
		}, time.Minute, pollInterval, "%s", rule.Alert)
	}
	require.NoError(t, server.Control().AddFault(t.Context(), devserver.Fault{Vendor: "lacework", Route: "*", Status: http.StatusUnauthorized, Times: 1}))
	_, err := client.Logical().ReadWithContext(t.Context(), mountPath+"/creds/lacework-app")
	require.Error(t, err)
	pending := p.awaitData(t, `ALERTS{alertname="VendorauthRootRejected"}`)
	require.Len(t, pending, 1)
	require.Equal(t, "lacework", pending[0].Metric["config"])
	require.Equal(t, mountPath, pending[0].Metric["mount"])
}
