package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestRotationPeriod_RotatesWhenDueAndNotBefore(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		status, _ := m.refused(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"rotation_period": "10m"})
		require.Equal(t, http.StatusBadRequest, status)
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"rotation_period": "24h"})
		sent := m.watchEvents()
		m.clock.advance(23 * time.Hour)
		m.runPeriodic()
		require.Empty(t, sent.kinds)
		m.clock.advance(time.Hour)
		m.runPeriodic()
		m.runPeriodic()
		require.Equal(t, []string{rotation.EventRotate}, sent.kinds)
		m.requireSettled(r, true)

		m.clock.advance(24 * time.Hour)
		m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, Status: http.StatusForbidden, Times: 1})
		m.runPeriodic()
		m.runPeriodic()
		require.Equal(t, []string{rotation.EventRotate, rotation.EventRotateFail}, sent.kinds, "not at each tick")
		m.clock.advance(rotation.RejectedBackoff)
		m.runPeriodic()
		require.Equal(t, []string{rotation.EventRotate, rotation.EventRotateFail, rotation.EventRotate}, sent.kinds)
	})
}

func TestRotationPeriod_LostAnswerThatHasActed_IsTheRotation(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "24h"})
	m.clock.advance(25 * time.Hour)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true, Times: 1})
	for range 3 {
		m.runPeriodic()
		m.clock.advance(rotation.RejectedBackoff + time.Second)
	}
	changes := 0
	for _, request := range m.vendors.Requests("ftd") {
		if request.Method == http.MethodPut {
			changes++
		}
	}
	require.Equal(t, 1, changes)
	m.requireSettled(rotations[0], true)
}

func TestRotationPeriod_CannotBegin_IsTold(t *testing.T) {
	m := newMount(t)
	r := rotations[1]
	m.configure(r.vendor, r.role)
	m.must(logical.UpdateOperation, "config/trend", map[string]any{"rotation_period": "24h"})
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	m.rotate("trend")
	sent := m.watchEvents()
	m.runPeriodic()
	require.Empty(t, sent.kinds)
	m.clock.advance(25 * time.Hour)
	m.runPeriodic()
	require.Equal(t, []string{rotation.EventRotateFail}, sent.kinds)
}

func TestRotationPeriod_ClockAndFormerVersions(t *testing.T) {
	for name, c := range map[string]struct {
		setAt time.Duration // from now; the zero time if negative beyond a year
		due   bool
	}{
		"just set":                                  {0, false},
		"set a period ago":                          {-25 * time.Hour, true},
		"set by a clock that was ahead":             {365 * 24 * time.Hour, true},
		"not written down by the version before us": {-2 * 365 * 24 * time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			entry := &store.Config{RotationPeriod: 24 * time.Hour, Root: store.RootState{UpdatedAt: now.Add(c.setAt)}}
			require.Equal(t, c.due, entry.RotationDue(now))
			entry.Retired = true
			require.False(t, entry.RotationDue(now))
		})
	}
	m := newMount(t)
	m.configure("ftd", nil)
	entry, err := store.ReadConfig(t.Context(), m.storage, "ftd")
	require.NoError(t, err)
	entry.Root = store.RootState{} // as a version without rotation has stored it
	m.putConfig("ftd", entry)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "720h"})
	sent := m.watchEvents()
	m.runPeriodic()
	require.Empty(t, sent.kinds, "the period begins when it is set")
}
