package backend

import (
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// metricsText reads the metrics.
func (m *mount) metricsText() string {
	m.t.Helper()
	response := m.must(logical.ReadOperation, "metrics", nil)
	return string(response.Data[logical.HTTPRawBody].([]byte))
}

// metric returns the value of one series. labels are all labels but that of the mount, in the order of their names.
func (m *mount) metric(name, labels string) float64 {
	m.t.Helper()
	for line := range strings.Lines(m.metricsText()) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasPrefix(key, name+"{") {
			continue
		}
		key = strings.Replace(key, `mount="vendorauth"`, "", 1)
		key = strings.ReplaceAll(strings.Trim(strings.TrimPrefix(key, name+"{"), ","), ",,", ",")
		if key == labels {
			number, err := strconv.ParseFloat(value, 64)
			require.NoError(m.t, err)
			return number
		}
	}
	require.Fail(m.t, "no such series", "%s{%s} in\n%s", name, labels, m.metricsText())
	return 0
}

// requireRecent requires a timestamp in seconds that is at most a few seconds old.
func (m *mount) requireRecent(timestamp float64) {
	m.t.Helper()
	require.InDelta(m.t, m.clock.Now().Unix(), timestamp, 5)
}

const ftdLabels = `config="ftd",vendor="ftd"`

func TestMetrics_CallsAndCredentials_AreCounted(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.read("ftd")
	m.read("ftd")
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	text := m.metricsText()
	for _, line := range []string{
		`vendorauth_vendor_calls_total{config="ftd",mount="vendorauth",operation="issue",outcome="ok",vendor="ftd"} 3`,
		`vendorauth_vendor_calls_total{config="ftd",mount="vendorauth",operation="revoke",outcome="unavailable",vendor="ftd"} 1`,
		`vendorauth_rejections_total{class="capacity",config="ftd",mount="vendorauth",operation="issue",vendor="ftd"} 1`,
		`vendorauth_credentials{config="ftd",mount="vendorauth",state="live",vendor="ftd"} 2`,
		`vendorauth_credentials{config="ftd",mount="vendorauth",state="revoking",vendor="ftd"} 1`,
		`vendorauth_credentials_limit{config="ftd",mount="vendorauth",vendor="ftd"} 3`,
		`vendorauth_credentials_slots_used{config="ftd",mount="vendorauth",vendor="ftd"} 3`,
		`vendorauth_failed_revocations{config="ftd",mount="vendorauth",vendor="ftd"} 1`,
		`vendorauth_pending_revocations{config="ftd",mount="vendorauth",vendor="ftd"} 1`,
		`vendorauth_vendor_request_duration_seconds_count{config="ftd",mount="vendorauth",operation="issue",vendor="ftd"} 3`,
		`vendorauth_build_info{goversion="go`,
	} {
		require.Contains(t, text, line)
	}
	require.NotContains(t, text, leased.data["token"])
}

func TestMetrics_NewConfig_HasItsSeriesAtZero(t *testing.T) {
	for _, vendor := range []string{"lacework", "trend", "fortianalyzer", "fortisiem", "ftd"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits() // FortiSIEM serves a token request only every five seconds
			m.writeConfig(vendor, map[string]any{"verify_connection": false})
			role := map[string]any{"config": vendor}
			if vendor == "trend" {
				role["role_name"] = "Auditor"
			}
			m.must(logical.UpdateOperation, "roles/reader", role)
			before := seriesOf(m.metricsText())
			read := m.read("reader")
			m.runPeriodic()
			_, _ = m.renew(read, 0)
			require.NoError(t, m.revoke(read))
			_, _, _ = m.request(logical.UpdateOperation, "config/"+vendor+"/check", nil)
			require.ElementsMatch(t, before, seriesOf(m.metricsText()), "each series existed before its first event")
		})
	}
}

// seriesOf returns the names and labels of all series.
func seriesOf(text string) []string {
	var series []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			name, _, _ := strings.Cut(line, "} ")
			series = append(series, name)
		}
	}
	return series
}

func TestMetrics_RejectedRoot_NamesTheConfig(t *testing.T) {
	for _, vendor := range []string{"lacework", "trend", "fortianalyzer", "fortisiem", "ftd"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits()
			labels := `config="` + vendor + `",vendor="` + vendor + `"`
			other := "lacework"
			if vendor == other {
				other = "trend"
			}
			m.writeConfig(other, nil)
			secret := map[string]string{
				"lacework": "secret_key", "trend": "api_key", "fortianalyzer": "password", "fortisiem": "client_secret", "ftd": "password",
			}[vendor]
			m.writeConfig(vendor, map[string]any{secret: "wrong:wrong", "verify_connection": false})
			require.Zero(t, m.metric("vendorauth_root_rejected", labels), "the vendor has not been asked")
			_, _, err := m.request(logical.UpdateOperation, "config/"+vendor+"/check", nil)
			require.Error(t, err)
			require.InDelta(t, 1, m.metric("vendorauth_root_rejected", labels), 0)
			require.Zero(t, m.metric("vendorauth_root_last_accepted_timestamp_seconds", labels))
			otherLabels := `config="` + other + `",vendor="` + other + `"`
			require.Zero(t, m.metric("vendorauth_root_rejected", otherLabels))
			m.requireRecent(m.metric("vendorauth_root_last_accepted_timestamp_seconds", otherLabels))

			m.writeConfig(vendor, nil)
			require.Zero(t, m.metric("vendorauth_root_rejected", labels))
			m.requireRecent(m.metric("vendorauth_root_last_accepted_timestamp_seconds", labels))
		})
	}
}

func TestMetrics_RootExpiry_IsThatOfTheLastCheck(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	checked := m.must(logical.UpdateOperation, "config/trend/check", nil).Data["root_expires_at"].(string)
	want := 0.0
	if checked != "" {
		at, err := time.Parse(time.RFC3339, checked)
		require.NoError(t, err)
		want = float64(at.Unix())
	}
	require.InDelta(t, want, m.metric("vendorauth_root_expiry_timestamp_seconds", `config="trend",vendor="trend"`), 1)
	m.rotate("trend") // by a key that the engine creates
	m.must(logical.UpdateOperation, "config/trend/check", nil)
	m.metric("vendorauth_root_expiry_timestamp_seconds", `config="trend",vendor="trend"`)
}

func TestMetrics_Rotation_ShowsTimesStateAndFailures(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		labels := `config="` + r.vendor + `",vendor="` + r.vendor + `"`
		require.Zero(t, m.metric("vendorauth_root_last_rotation_timestamp_seconds", labels))
		require.Zero(t, m.metric("vendorauth_root_next_rotation_timestamp_seconds", labels))
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"rotation_period": "24h"})
		next := m.metric("vendorauth_root_next_rotation_timestamp_seconds", labels)
		require.InDelta(t, m.clock.Now().Add(24*time.Hour).Unix(), next, 10)
		m.rotate(r.vendor)
		m.requireRecent(m.metric("vendorauth_root_last_rotation_timestamp_seconds", labels))
		require.GreaterOrEqual(t, m.metric("vendorauth_root_next_rotation_timestamp_seconds", labels), next)
		require.InDelta(t, 1, m.metric("vendorauth_root_rotations_total", labels), 0)
		require.Zero(t, m.metric("vendorauth_root_rotation_failures_total", labels))

		m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, DropAfter: true})
		require.Error(t, m.tryRotate(r.vendor))
		m.rememberRotatedSecrets(r.vendor)
		require.InDelta(t, 1, m.metric("vendorauth_root_rotation_failures_total", labels), 0)
		sum := 0.0
		for _, state := range []string{"current", "in_doubt", "previous_not_revoked"} {
			sum += m.metric("vendorauth_root_state", `config="`+r.vendor+`",state="`+state+`",vendor="`+r.vendor+`"`)
		}
		require.InDelta(t, 1, sum, 0, "one state")
		inDoubt := m.metric("vendorauth_root_state", `config="`+r.vendor+`",state="in_doubt",vendor="`+r.vendor+`"`)
		require.Equal(t, m.config(r.vendor).Root.InDoubt(), inDoubt == 1)
	})
}

func TestMetrics_RotationNotSupported_IsNoFailure(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	require.Error(t, m.tryRotate("lacework"))
	require.Zero(t, m.metric("vendorauth_root_rotation_failures_total", `config="lacework",vendor="lacework"`))
}

func TestMetrics_SilentVendor_ShowsItsBreakerOpen(t *testing.T) {
	m := newMount(t)
	m.keepBreakersOpen()
	m.configure("ftd", nil)
	m.configure("lacework", nil)
	state := func(config, state string) float64 {
		return m.metric("vendorauth_breaker_state", `config="`+config+`",state="`+state+`",vendor="`+config+`"`)
	}
	leased := m.read("ftd")
	m.read("lacework")
	require.InDelta(t, 1, state("ftd", "closed"), 0)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	for range 4 {
		require.Error(t, m.revoke(leased))
	}
	require.InDelta(t, 1, state("ftd", "open"), 0)
	require.Zero(t, state("ftd", "closed"))
	require.InDelta(t, 1, state("lacework", "closed"), 0, "another vendor answers")
}

func TestMetrics_FailingRevocation_ShowsItsFirstFailure(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	first, second := m.read("ftd"), m.read("ftd")
	oldest := func() float64 { return m.metric("vendorauth_oldest_failed_revocation_timestamp_seconds", ftdLabels) }
	require.Zero(t, oldest())
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(first))
	m.requireRecent(oldest())
	since := oldest()
	m.clock.Advance(5 * time.Minute)
	require.Error(t, m.revoke(second))
	require.Error(t, m.revoke(first))
	require.InDelta(t, since, oldest(), 0, "the first failure of the oldest")
	m.restart()
	require.InDelta(t, since, oldest(), 0.001, "it is stored")
	m.vendors.ClearFaults("ftd")
	require.NoError(t, m.revoke(first))
	require.Greater(t, oldest(), since+200)
	require.NoError(t, m.revoke(second))
	require.Zero(t, oldest())
}

func TestMetrics_Roles_CountIssuedRenewedRevoked(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.must(logical.UpdateOperation, "roles/team", map[string]any{"config": "ftd", "ttl": "15m", "max_ttl": "2h", "sharing": "shared"})
	own, one, two := m.read("ftd"), m.read("team"), m.read("team")
	for _, leased := range []*vaultLease{own, one, two} {
		_, err := m.renew(leased, 0)
		require.NoError(t, err)
		require.NoError(t, m.revoke(leased))
	}
	for name, want := range map[string][2]float64{"issued": {1, 1}, "renewed": {1, 2}, "revoked": {1, 1}} {
		require.InDelta(t, want[0], m.metric("vendorauth_credentials_"+name+"_total", `config="ftd",role="ftd"`), 0, name)
		require.InDelta(t, want[1], m.metric("vendorauth_credentials_"+name+"_total", `config="ftd",role="team"`), 0, name)
	}
}

func TestMetrics_RefusedIssue_IsNotCountedAsIssued(t *testing.T) {
	m := newConfiguredMount(t, "lacework", nil)
	m.fault(emulator.Fault{Vendor: "lacework", Route: "*", Status: http.StatusForbidden, Times: 1})
	m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/lacework", nil)
	require.Zero(t, m.metric("vendorauth_credentials_issued_total", `config="lacework",role="lacework"`))
	require.Zero(t, m.metric("vendorauth_credentials_revoked_total", `config="lacework",role="lacework"`))
}

func TestMetrics_SlotWait_IsMeasured(t *testing.T) {
	m := newConfiguredMount(t, "ftd", map[string]any{"max_wait": "60s"})
	m.writeConfig("ftd", map[string]any{"max_credentials": 1})
	leased := m.read("ftd")
	require.InDelta(t, 1, m.metric("vendorauth_slot_wait_duration_seconds_count", ftdLabels), 0)
	require.Zero(t, m.metric("vendorauth_slot_wait_duration_seconds_sum", ftdLabels))
	m.clock.endWaits()
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"max_wait": "1s"})
	m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil)
	require.InDelta(t, 2, m.metric("vendorauth_slot_wait_duration_seconds_count", ftdLabels), 0)
	require.Positive(t, m.metric("vendorauth_slot_wait_duration_seconds_sum", ftdLabels))
	require.NoError(t, m.revoke(leased))
}

func TestMetrics_Pacing_CountsEachRequest(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	before := m.metric("vendorauth_pacing_wait_duration_seconds_count", ftdLabels)
	m.read("ftd")
	require.Greater(t, m.metric("vendorauth_pacing_wait_duration_seconds_count", ftdLabels), before)
	require.Zero(t, m.metric("vendorauth_pacing_waiting_requests", ftdLabels))
}

func TestMetrics_Worker_ShowsItsLastRunAndFailures(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.runPeriodic()
	m.requireRecent(m.metric("vendorauth_worker_last_run_timestamp_seconds", ""))
	m.requireRecent(m.metric("vendorauth_worker_last_turn_timestamp_seconds", ftdLabels))
	require.Zero(t, m.metric("vendorauth_worker_turn_failures_total", ftdLabels))
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(leased))
	m.clock.Advance(20 * time.Minute)
	m.runPeriodic()
	require.Positive(t, m.metric("vendorauth_worker_turn_failures_total", ftdLabels))
}

func TestMetrics_DeletedConfig_LosesItsSeries(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	require.NoError(t, m.readAndRevoke("ftd"))
	require.Contains(t, m.metricsText(), `config="ftd"`)
	m.must(logical.DeleteOperation, "config/ftd", nil)
	require.NotContains(t, m.metricsText(), `config="ftd"`)
}

func TestMetrics_Documentation_NamesEveryMetric(t *testing.T) {
	page, err := os.ReadFile("../docs/monitoring.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "## Metrics\n")
	require.True(t, found)
	m := newConfiguredMount(t, "ftd", nil)
	exposed := map[string]string{}
	for _, family := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(m.metricsText(), -1) {
		exposed[family[1]] = family[2]
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\| (\\w+) \\|").FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			documented[strings.Trim(name, "`")] = row[2]
		}
	}
	require.Equal(t, exposed, documented, "names and types")
}

func TestMetrics_UnreadableEntry_IsAStateOfItsOwn(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	unreadable := `config="ftd",state="unreadable",vendor="ftd"`
	require.Zero(t, m.metric("vendorauth_credentials", unreadable))
	require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{
		Key: "ledger/ftd/abcdefgh234567ab", Value: []byte(`{"version":99,"id":"abcdefgh234567ab"}`),
	}))
	m.restart()
	require.InDelta(t, 1, m.metric("vendorauth_credentials", unreadable), 0)
	require.InDelta(t, 1, m.metric("vendorauth_credentials_slots_used", ftdLabels), 0)
}
