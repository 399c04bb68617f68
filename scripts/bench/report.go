package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// figures are what was measured of one operation.
type figures struct {
	// PerSecond is the number of requests in a second.
	PerSecond float64 `json:"per_second"`
	// P50 and P99 are latencies in milliseconds.
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// CPU is the CPU time of Vault and the plugin for one request, in microseconds.
	CPU float64 `json:"cpu_us"`
	// VendorCalls is the number of vendor calls for one request.
	VendorCalls float64 `json:"vendor_calls"`
	// Requests is how many requests were measured.
	Requests int `json:"requests"`
	// CPURatio and SpeedRatio compare with the baseline of the scenario in the same run; zero without one.
	CPURatio   float64 `json:"cpu_ratio,omitempty"`
	SpeedRatio float64 `json:"speed_ratio,omitempty"`
}

// row is one scenario with one number of clients.
type row struct {
	scenario
	Clients int      `json:"clients"`
	Read    figures  `json:"read"`
	Renew   *figures `json:"renew,omitempty"`
	Revoke  figures  `json:"revoke"`
	// PluginRSS and VaultRSS are in MiB, with all leases of the run.
	PluginRSS float64 `json:"plugin_rss_mib"`
	VaultRSS  float64 `json:"vault_rss_mib"`
}

// report is the result of a run.
type report struct {
	Machine machine     `json:"machine"`
	Rows    []row       `json:"rows"`
	Growth  []growthRow `json:"growth,omitempty"`
	Configs []configRow `json:"configs,omitempty"`
}

// machine is where the run took place.
type machine struct {
	CPU     string    `json:"cpu"`
	Cores   int       `json:"cores"`
	OS      string    `json:"os"`
	Go      string    `json:"go"`
	Vault   string    `json:"vault"`
	Storage string    `json:"storage"`
	Date    time.Time `json:"date"`
}

// describeMachine returns what a reader must know of the machine. storage names where Vault's storage lies.
func describeMachine(vault, storage string) machine {
	return machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		Vault: vault, Storage: storage, Date: time.Now().UTC().Truncate(time.Second),
	}
}

// cpuModel returns the processor's name, or "unknown" where the system does not tell.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// rowsOf computes the figures of all samples.
func rowsOf(samples []*sample) []row {
	byKey := make(map[sampleKey]*sample, len(samples))
	for _, s := range samples {
		byKey[sampleKey{s.scenario.Name, s.clients}] = s
	}
	rows := make([]row, 0, len(samples))
	for _, s := range samples {
		base := byKey[sampleKey{s.scenario.Baseline, s.clients}]
		r := row{
			scenario: s.scenario, Clients: s.clients,
			Read: figuresOf(s.read, nil), Revoke: figuresOf(s.revoke, nil),
			PluginRSS: mebibytes(s.residentPlugin), VaultRSS: mebibytes(s.residentVault),
		}
		if base != nil {
			r.Read, r.Revoke = figuresOf(s.read, &base.read), figuresOf(s.revoke, &base.revoke)
		}
		if s.scenario.Renewable {
			renew := figuresOf(s.renew, nil)
			if base != nil {
				renew = figuresOf(s.renew, &base.renew)
			}
			r.Renew = &renew
		}
		rows = append(rows, r)
	}
	return rows
}

func figuresOf(p phase, base *phase) figures {
	f := figures{
		PerSecond: round(p.perSecond(), 1), P50: milliseconds(p.percentile(0.5)), P99: milliseconds(p.percentile(0.99)),
		CPU: round(float64(p.cpuEach().Nanoseconds())/1e3, 0), VendorCalls: round(p.callsEach(), 2), Requests: len(p.latencies),
	}
	if base != nil && base.cpuEach() > 0 && base.perSecond() > 0 {
		f.CPURatio = round(float64(p.cpuEach())/float64(base.cpuEach()), 2)
		f.SpeedRatio = round(p.perSecond()/base.perSecond(), 2)
	}
	return f
}

func mebibytes(size int64) float64 { return round(float64(size)/(1<<20), 1) }

func milliseconds(d time.Duration) float64 { return round(float64(d.Microseconds())/1e3, 2) }

func round(value float64, digits int) float64 {
	factor := math.Pow10(digits)
	return math.Round(value*factor) / factor
}

// write stores the report as JSON in a directory.
func (r report) write(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // documentation is readable for all users
		return err
	}
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), append(encoded, '\n'), 0o644) //nolint:gosec // see above
}
