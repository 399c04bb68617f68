package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// text returns the text of some metrics on the mount "m".
func text(t *testing.T, m *Metrics) string {
	t.Helper()
	answer, err := Text("m", m)
	require.NoError(t, err)
	return string(answer)
}

// series counts the lines with a value that contain a part.
func series(text, part string) (count int) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && strings.Contains(line, part) {
			count++
		}
	}
	return count
}

var edge = Config{Name: "edge", Vendor: "ftd", Operations: []string{"issue", "check"}, Roles: []string{"reader"}}

func TestSync_NewConfig_HasItsSeriesAtZero(t *testing.T) {
	m := New()
	m.Sync([]Config{edge})
	before := text(t, m)
	for line := range strings.Lines(before) {
		require.True(t, strings.HasPrefix(line, "#") || strings.HasSuffix(line, " 0\n"), "%s", line)
	}
	m.ObserveCall("edge", "ftd", "issue", time.Second, nil)
	m.ObserveCall("edge", "ftd", "check", time.Second, &provider.Error{Class: provider.ClassUnauthenticated})
	m.ObserveCall("edge", "ftd", "check", time.Second, errors.New("no class"))
	m.CountRejection("edge", "ftd", "issue", provider.ClassCapacity)
	m.ObservePacing("edge", "ftd", time.Second)
	m.ObserveSlotWait("edge", "ftd", time.Second)
	m.CountRotation("edge", "ftd", nil)
	m.CountRotation("edge", "ftd", errors.New("failed"))
	m.CountTurnFailure("edge", "ftd")
	m.CountIssued("edge", "reader")
	m.CountRenewed("edge", "reader")
	m.CountRevoked("edge", "reader")
	after := text(t, m)
	require.Equal(t, series(before, ""), series(after, ""), "each counted series existed before")
	require.Contains(t, after, `vendorauth_vendor_calls_total{config="edge",mount="m",operation="check",outcome="unauthenticated",vendor="ftd"} 1`)
	m.Sync([]Config{edge})
	require.Equal(t, after, text(t, m), "Sync changes no value")
}

func TestText_Names_FollowPrometheusConventions(t *testing.T) {
	m, state := New(), NewState()
	m.Sync([]Config{edge})
	state.SetBuild("v1")
	state.SetConfig(ConfigState{Name: "edge", Vendor: "ftd", Credentials: map[string]int{"live": 0}})
	answer, err := Text("m", m, state)
	require.NoError(t, err)
	problems, err := promlint.New(bytes.NewReader(answer)).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
	for line := range strings.Lines(string(answer)) {
		if !strings.HasPrefix(line, "#") {
			require.Contains(t, line, `mount="m"`)
		}
	}
}

func TestSync_DeletedConfig_LosesItsSeries(t *testing.T) {
	m := New()
	m.Sync([]Config{edge, {Name: "core", Vendor: "trend", Roles: []string{"auditor"}}})
	m.CountIssued("never-listed", "reader")
	require.NotZero(t, series(text(t, m), `config="never-listed"`))
	m.Sync([]Config{{Name: "core", Vendor: "trend", Roles: []string{"auditor"}}})
	require.Zero(t, series(text(t, m), `config="edge"`))
	require.Zero(t, series(text(t, m), `config="never-listed"`))
	require.NotZero(t, series(text(t, m), `config="core"`))
	m.Forget("core")
	require.Zero(t, series(text(t, m), `config=`))
}

func TestRoles_MoreThanTheLimit_ShareOneSeries(t *testing.T) {
	m := New()
	config := Config{Name: "edge", Vendor: "ftd"}
	for i := range MaxRoles + 50 {
		config.Roles = append(config.Roles, fmt.Sprintf("role-%04d", i))
	}
	m.Sync([]Config{config})
	const issued = "vendorauth_credentials_issued_total{"
	require.Equal(t, MaxRoles+1, series(text(t, m), issued))
	for _, role := range config.Roles {
		m.CountIssued("edge", role)
	}
	require.Equal(t, MaxRoles+1, series(text(t, m), issued))
	require.Contains(t, text(t, m), issued+`config="edge",mount="m",role="(other)"} 50`)
}

func TestRoles_DeletedRole_GivesUpItsSeriesOnlyWhenFull(t *testing.T) {
	m := New()
	m.Sync([]Config{edge})
	m.CountIssued("edge", "reader")
	m.Sync([]Config{{Name: "edge", Vendor: "ftd", Roles: []string{"another"}}})
	require.NotZero(t, series(text(t, m), `role="reader"`), "its credentials still end")
	full := Config{Name: "edge", Vendor: "ftd"}
	for i := range MaxRoles {
		full.Roles = append(full.Roles, fmt.Sprintf("role-%04d", i))
	}
	m.Sync([]Config{full})
	require.Zero(t, series(text(t, m), `role="reader"`))
	require.Zero(t, series(text(t, m), `role="another"`))
	require.Zero(t, series(text(t, m), `role="(other)"`))
}

func TestMetrics_ConcurrentUse_LosesNoCount(t *testing.T) {
	m := New()
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 100 {
				m.CountIssued("edge", "reader")
				m.ObserveCall("edge", "ftd", "issue", time.Millisecond, nil)
				m.Sync([]Config{edge, {Name: "gone", Vendor: "ftd"}})
				m.Forget("gone")
				_, err := Text("m", m)
				if err != nil {
					panic(err)
				}
			}
		})
	}
	running.Wait()
	require.Contains(t, text(t, m), `vendorauth_credentials_issued_total{config="edge",mount="m",role="reader"} 800`)
}
