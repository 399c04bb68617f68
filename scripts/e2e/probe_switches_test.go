package e2e

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// probers is how many probes run at the same time. A probe takes little work: it waits for the rate limit of its config, and
// for the expiry of a credential, in real time.
const probers = 12

// probeTimeout bounds one probe on a busy machine.
const probeTimeout = 3 * time.Minute

// A probe on a real Vault server tells apart every switch that it can observe. Without switches, two probes observe the same.
func TestProbe_EverySwitch_ShowsInTheReport(t *testing.T) {
	awaitMidnight(t)
	observed := observeAll(t)
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			seen := observed[vendor.Name]
			usual := seen[0]
			require.NotEmpty(t, usual)
			require.Equal(t, usual, seen[1], "a difference is due to a switch")
			looks := map[string]bool{}
			for i, run := range switchRuns(vendor.Name)[2:] {
				seen := seen[i+2]
				for name, row := range run.Rows {
					assert.Contains(t, seen, row, "%s of %v", name, run.Values)
					assert.NotEqual(t, usual[row], seen[row], "%s of %v does not show in %q", name, run.Values, row)
					look := fmt.Sprint(name, row, seen[row], seen["answers of "+row])
					assert.False(t, looks[look], "%s of %v looks like another value", name, run.Values)
					looks[look] = true
				}
			}
		})
	}
}

// awaitMidnight waits for the next day in UTC if it begins while the probes run: a life that crosses midnight looks the same
// with a vendor that stores whole days.
func awaitMidnight(t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	if left := now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now); left < 2*probeTimeout {
		t.Logf("waiting %s for the next day in UTC", left.Round(time.Second))
		time.Sleep(left)
	}
}

// switchRuns returns the probes of a vendor: two without switches, and those that show each switch.
func switchRuns(vendor string) []vendorfacts.ProbeRun {
	return append(make([]vendorfacts.ProbeRun, 2), vendorfacts.ProbeSwitchesOf(vendor).Runs()...)
}

// observeAll makes the probes of all vendors, and returns what each observes: by vendor, in the order of switchRuns.
func observeAll(t *testing.T) map[string][]map[string]string {
	t.Helper()
	idle := make(chan *prober, probers)
	for i := range probers {
		idle <- startProber(t, i)
	}
	var group errgroup.Group
	group.SetLimit(probers)
	observed := map[string][]map[string]string{}
	for _, vendor := range vendorfacts.All() {
		runs := switchRuns(vendor.Name)
		seen := make([]map[string]string, len(runs))
		observed[vendor.Name] = seen
		for i, run := range runs {
			group.Go(func() error {
				p := <-idle
				defer func() { idle <- p }()
				var err error
				if seen[i], err = p.observe(t.Context(), vendor, run.Values); err != nil {
					return fmt.Errorf("%s with %v: %w", vendor.Name, run.Values, err)
				}
				return nil
			})
		}
	}
	require.NoError(t, group.Wait())
	return observed
}

// proberStates are the state files of the probers' emulators, for the search for secrets at the end of the run.
var proberStates []devserver.State

// prober makes one probe at a time, of an emulator that belongs to it alone.
type prober struct {
	name     string
	client   *api.Client
	control  *devserver.Control
	emulated devserver.State
	runs     int
}

// startProber starts an emulator until the test ends.
func startProber(t *testing.T, number int) *prober {
	t.Helper()
	binary, err := filepath.Abs("../../bin/vendor-emulator")
	require.NoError(t, err)
	emulated, stop, err := devserver.StartEmulator(t.Context(), binary, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	proberStates = append(proberStates, emulated)
	return &prober{name: "probe-" + strconv.Itoa(number), client: vault(t), control: devserver.NewControl(emulated.ControlURL), emulated: emulated}
}

// observe probes a product with these switches on a new mount, and returns what the report shows: by row, and by "answers
// of " and the step.
func (p *prober) observe(ctx context.Context, vendor vendorfacts.Vendor, switches map[string]string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := p.control.Reset(ctx); err != nil {
		return nil, err
	}
	values := map[string]string{}
	maps.Copy(values, vendorfacts.ProbeSwitchesOf(vendor.Name).Base)
	maps.Copy(values, switches)
	for name, value := range values {
		if err := p.control.SetSwitch(ctx, vendor.Name, name, value); err != nil {
			return nil, err
		}
	}
	p.runs++
	mountPath := p.name + "-" + strconv.Itoa(p.runs)
	if err := p.client.Sys().MountWithContext(ctx, mountPath, &api.MountInput{Type: devserver.PluginName}); err != nil {
		return nil, err
	}
	report, err := p.report(ctx, vendor, mountPath)
	if err != nil {
		return nil, err
	}
	return rowsOf(report), p.client.Sys().UnmountWithContext(ctx, mountPath)
}

// report makes a probe and returns its report, also if it takes longer than a request.
func (p *prober) report(ctx context.Context, vendor vendorfacts.Vendor, mountPath string) (map[string]any, error) {
	fields, err := p.emulated.ConfigFields(vendor.Name)
	if err != nil {
		return nil, err
	}
	fields["verify_connection"] = false // the probe is the first to see the product
	if hook := vendor.Hook; hook != nil {
		fields["revoke_url"], fields["revoke_body"] = p.emulated.Vendors[vendor.Name].URL+hook.Path, hook.Body
	}
	vault, path := p.client.Logical(), mountPath+"/config/main/probe"
	if _, err := vault.WriteWithContext(ctx, mountPath+"/config/main", fields); err != nil {
		return nil, err
	}
	if _, err := vault.WriteWithContext(ctx, mountPath+"/roles/reader", roleFields(vendor, nil)); err != nil {
		return nil, err
	}
	report, err := vault.WriteWithContext(ctx, path, map[string]any{"confirm": "main", "role": "reader"})
	for err == nil && report.Data["state"] == "running" {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
		report, err = vault.ReadWithContext(ctx, path)
	}
	if err != nil {
		return nil, err
	}
	return report.Data, nil
}

// rowsOf returns what the rows of a report show.
func rowsOf(report map[string]any) map[string]string {
	seen := map[string]string{}
	for _, row := range report["steps"].([]any) {
		row := row.(map[string]any)
		name := row["step"].(string)
		if fact := row["fact"].(string); fact != "" {
			name += ": " + fact
		}
		seen[name] = vendorfacts.ComparableObservation(row["observed"].(string))
		answers, _ := row["answers"].([]any)
		if len(answers) > 0 {
			var lines []string
			for _, answer := range answers {
				lines = append(lines, answer.(string))
			}
			seen["answers of "+name] = strings.Join(lines, "\n")
		}
	}
	return seen
}
