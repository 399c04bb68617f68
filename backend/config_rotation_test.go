package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
)

// dailyAtThree is a schedule with a window.
var dailyAtThree = map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "2h"}

// advanceTo advances the clock to the next time of day in UTC, and runs the worker.
func (m *mount) advanceTo(hour int) {
	m.t.Helper()
	now := m.clock.Now().UTC()
	next := time.Date(now.Year(), now.Month(), now.Day(), hour, 0, 0, 0, time.UTC)
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	m.runPeriodicAfter(next.Sub(now))
}

// readTime reads a time of a config.
func (m *mount) readTime(config, field string) time.Time {
	m.t.Helper()
	text := m.must(logical.ReadOperation, "config/"+config, nil).Data[field].(string)
	if text == "" {
		return time.Time{}
	}
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(m.t, err)
	return parsed
}

func TestRotationFields_InvalidValue_NamesTheField(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.configure("lacework", nil)
	m.must(logical.UpdateOperation, "config/lacework", map[string]any{"disable_automated_rotation": true})
	for _, test := range []struct {
		vendor string
		data   map[string]any
		named  string
	}{
		{"ftd", map[string]any{"rotation_schedule": "every day"}, "rotation_schedule"},
		{"ftd", map[string]any{"rotation_schedule": "@daily"}, "rotation_schedule"},
		{"ftd", map[string]any{"rotation_schedule": "0 0 3 * * *"}, "rotation_schedule"},
		{"ftd", map[string]any{"rotation_schedule": "CRON_TZ=Asia/Tokyo 0 3 * * *"}, "UTC"},
		{"ftd", map[string]any{"rotation_schedule": "0,30 3 * * *"}, "more than once"},
		{"ftd", map[string]any{"rotation_schedule": "*/20 * * * *"}, "more than once"},
		{"ftd", map[string]any{"rotation_schedule": "0 0 30 2 *"}, "five years"},
		{"ftd", map[string]any{"rotation_schedule": "0 3 * * *", "rotation_period": "24h"}, "exclude each other"},
		{"ftd", map[string]any{"rotation_window": "2h"}, "rotation_window"},
		{"ftd", map[string]any{"rotation_window": "2h", "rotation_period": "24h"}, "rotation_window"},
		{"ftd", map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "59m"}, "rotation_window"},
		{"ftd", map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "-1h"}, "rotation_window"},
		{"ftd", map[string]any{"rotation_policy": "default"}, "rotation_policy"},
		{"lacework", map[string]any{"rotation_schedule": "0 3 * * *"}, "rotation_schedule"},
		{"lacework", map[string]any{"rotation_period": "24h"}, "rotation_period"},
	} {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+test.vendor, test.data, test.named)
	}

	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "24h"})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", dailyAtThree, "exclude each other")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": 7200, "rotation_period": 0})
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"rotation_schedule": ""}, "rotation_window")
	m.requireRoundTrip("ftd", "config/ftd")
	m.must(logical.PatchOperation, "config/ftd", map[string]any{"rotation_schedule": nil, "rotation_window": nil})
	require.Zero(t, m.readTime("ftd", "next_rotation"))
}

func TestRotation_SetOnOldRoot_DoesNotRotateAtOnce(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.clock.Advance(400 * 24 * time.Hour)
	m.runPeriodic()
	sent := m.watchEvents()
	for _, set := range []map[string]any{{"rotation_period": "720h"}, {"rotation_period": 0, "rotation_schedule": "30 12 1 * *"}} {
		m.must(logical.UpdateOperation, "config/ftd", set)
		m.runPeriodic()
		require.Empty(t, sent.kinds)
		require.True(t, m.readTime("ftd", "next_rotation").After(m.clock.Now()))
		require.Zero(t, m.readTime("ftd", "last_rotation"))
	}
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"disable_automated_rotation": true})
	require.Zero(t, m.readTime("ftd", "next_rotation"))
	for range 40 {
		m.runPeriodicAfter(24 * time.Hour)
	}
	require.NotContains(t, sent.kinds, rotation.EventRotate, "it is disabled")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"disable_automated_rotation": false})
	m.runPeriodic()
	require.NotContains(t, sent.kinds, rotation.EventRotate, "it counts from when it was enabled")
	require.True(t, m.readTime("ftd", "next_rotation").After(m.clock.Now()))
}

func TestRotationSchedule_IsDue_RotatesOnceInItsWindow(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.advanceTo(1)
		m.must(logical.UpdateOperation, "config/"+r.vendor, dailyAtThree)
		sent := m.watchEvents()
		next := m.readTime(r.vendor, "next_rotation")
		require.Equal(t, 2*time.Hour, next.Sub(m.clock.Now().UTC().Truncate(time.Second)))
		m.advanceTo(2)
		require.Empty(t, sent.kinds)
		m.advanceTo(3)
		m.runPeriodicAfter(time.Minute)
		require.Equal(t, []string{rotation.EventRotate}, sent.kinds)
		require.False(t, m.readTime(r.vendor, "last_rotation").Before(next))
		require.Equal(t, next.AddDate(0, 0, 1), m.readTime(r.vendor, "next_rotation"))
		m.requireResolved(r, true)
	})
}

func TestRotationWindow_RotationFails_IsRepeatedThenReported(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.advanceTo(1)
		m.must(logical.UpdateOperation, "config/"+r.vendor, dailyAtThree)
		sent := m.watchEvents()
		attempts := func() int { return m.failedChanges(r) }
		m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, Status: http.StatusForbidden})
		m.advanceTo(3)
		first := attempts()
		require.Positive(t, first)
		m.runPeriodicAfter(rotation.RejectedBackoff)
		require.Greater(t, attempts(), first, "it is repeated inside the window")
		require.Empty(t, sent.kinds, "the window is open")
		require.Zero(t, m.missedRotation(r))
		end := m.rootTime(r, "rotation_window_end")
		require.InDelta(t, float64(m.clock.Now().Add(2*time.Hour-rotation.RejectedBackoff).Unix()), end, 5)

		m.advanceTo(5)
		require.Equal(t, []string{rotation.EventRotateFail}, sent.kinds)
		missed := attempts()
		require.Zero(t, m.rootTime(r, "rotation_window_end"))
		scheduled := m.missedRotation(r)
		require.InDelta(t, float64(m.clock.Now().Add(-2*time.Hour).Unix()), scheduled, 1)
		for range 5 {
			m.runPeriodicAfter(rotation.MaxRejectedBackoff)
		}
		require.Equal(t, []string{rotation.EventRotateFail}, sent.kinds, "once for each window")
		require.Equal(t, missed, attempts(), "it waits for the next window")

		m.advanceTo(3)
		m.advanceTo(5)
		require.Equal(t, []string{rotation.EventRotateFail, rotation.EventRotateFail}, sent.kinds)
		m.vendors.ClearFaults(r.vendor)
		m.advanceTo(3)
		m.advanceTo(5)
		require.Equal(t, []string{rotation.EventRotateFail, rotation.EventRotateFail, rotation.EventRotate}, sent.kinds)
		require.Zero(t, m.missedRotation(r))
		require.Zero(t, m.rootTime(r, "rotation_window_end"))
		m.requireResolved(r, true)
	})
}

// missedRotation reads the metric of a window that has passed without a rotation.
func (m *mount) missedRotation(r rotationCase) float64 {
	m.t.Helper()
	return m.rootTime(r, "missed_rotation")
}

// rootTime reads a metric that is a time of the root credential.
func (m *mount) rootTime(r rotationCase, name string) float64 {
	m.t.Helper()
	return m.metric("vendorauth_root_"+name+"_timestamp_seconds", `config="`+r.vendor+`",vendor="`+r.vendor+`"`)
}

// failedChanges counts the refused requests that would have changed the root credential.
func (m *mount) failedChanges(r rotationCase) int {
	count := 0
	for _, request := range m.vendors.Requests(r.vendor) {
		change := request.Operation == r.change || strings.HasPrefix(r.change, request.Method+" ")
		if change && request.Status == http.StatusForbidden {
			count++
		}
	}
	return count
}

func TestRootExpiry_WithinNotice_IsListedAndReported(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	listed := func(field string) any {
		return m.must(logical.ListOperation, "config/", nil).Data["key_info"].(map[string]any)["trend"].(map[string]any)[field]
	}
	require.Empty(t, listed("root_expires_at"))
	require.Equal(t, false, listed("root_expires_soon"))
	sent := m.watchEvents()

	// An administrator gives the key an end at the manager. The daily check reads it.
	m.act(t, "trend", "set_expiry", map[string]string{"in": "480h"})
	expiresAt := m.clock.Now().Add(480 * time.Hour)
	m.runPeriodic()
	m.runPeriodicAfter(firstReconcile)
	require.WithinDuration(t, expiresAt, m.readTime("trend", "root_expires_at"), time.Minute)
	require.Equal(t, false, listed("root_expires_soon"))
	require.Empty(t, sent.kinds)
	before := m.config("trend").Revision
	m.runPeriodicAfter(rootCheckInterval)
	require.Equal(t, before, m.config("trend").Revision, "the same end is not stored again")

	for range 5 {
		m.runPeriodicAfter(24 * time.Hour)
		m.runPeriodicAfter(time.Minute)
	}
	require.Equal(t, true, listed("root_expires_soon"))
	require.Equal(t, []string{rotation.EventExpiring}, sent.kinds)
	m.runPeriodicAfter(24 * time.Hour)
	require.Equal(t, []string{rotation.EventExpiring, rotation.EventExpiring}, sent.kinds, "once a day")

	m.act(t, "trend", "set_expiry", map[string]string{"in": ""})
	m.must(logical.UpdateOperation, "config/trend/check", nil)
	require.Empty(t, listed("root_expires_at"), "a check reads the end too")
	m.runPeriodicAfter(25 * time.Hour)
	require.Len(t, sent.kinds, 2)
	require.Zero(t, m.readTime("trend", "root_expires_at"))
}

func TestRootExpiry_WriteAndRotation_StoreIt(t *testing.T) {
	m := newMount(t)
	m.act(t, "trend", "set_expiry", map[string]string{"in": "240h"})
	expiresAt := m.clock.Now().Add(240 * time.Hour)
	m.writeConfig("trend", nil)
	require.WithinDuration(t, expiresAt, m.readTime("trend", "root_expires_at"), time.Minute)
	m.rotate("trend")
	require.WithinDuration(t, expiresAt, m.readTime("trend", "root_expires_at"), time.Minute, "the new key has the same end")
	m.requireNow(m.must(logical.ReadOperation, "config/trend", nil).Data["last_rotation"])
}
