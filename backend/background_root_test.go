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

func TestRotationPeriod_IsDue_RotatesOnce(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/"+r.vendor, map[string]any{"rotation_period": "10m"})
		m.must(logical.UpdateOperation, "config/"+r.vendor, map[string]any{"rotation_period": "24h"})
		sent := m.watchEvents()
		m.runPeriodicAfter(23 * time.Hour)
		require.Empty(t, sent.kinds)
		m.runPeriodicAfter(time.Hour)
		m.runPeriodic()
		require.Equal(t, []string{rotation.EventRotate}, sent.kinds)
		m.requireResolved(r, true)

		m.clock.Advance(24 * time.Hour)
		m.fault(emulator.Fault{Vendor: r.vendor, Route: r.change, Status: http.StatusForbidden, Times: 1})
		m.runPeriodic()
		m.runPeriodic()
		require.Equal(t, []string{rotation.EventRotate, rotation.EventRotateFail}, sent.kinds, "not at each periodic run")
		m.runPeriodicAfter(rotation.RejectedBackoff)
		require.Equal(t, []string{rotation.EventRotate, rotation.EventRotateFail, rotation.EventRotate}, sent.kinds)
	})
}

func TestRotationPeriod_ResponseLost_CountsAsTheRotation(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "24h"})
	m.clock.Advance(25 * time.Hour)
	m.fault(emulator.Fault{Vendor: "ftd", Route: "PUT *", DropAfter: true, Times: 1})
	for range 3 {
		m.runPeriodic()
		m.clock.Advance(rotation.RejectedBackoff + time.Second)
	}
	changes := 0
	for _, request := range m.vendors.Requests("ftd") {
		if request.Method == http.MethodPut {
			changes++
		}
	}
	require.Equal(t, 1, changes)
	m.requireResolved(ftdRotation, true)
}

func TestRotationPeriod_CannotBegin_SendsAnEvent(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	m.must(logical.UpdateOperation, "config/trend", map[string]any{"rotation_period": "24h"})
	m.rotateKeepingPrevious()
	sent := m.watchEvents()
	m.runPeriodic()
	require.Empty(t, sent.kinds)
	m.runPeriodicAfter(25 * time.Hour)
	require.Equal(t, []string{rotation.EventRotateFail}, sent.kinds)
}

func TestRotationPeriod_NeverRotated_BeginsWhenSet(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	config := m.config("ftd")
	config.Root = store.RootState{} // as a version without rotation stored it
	m.putConfig("ftd", config)
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "720h"})
	sent := m.watchEvents()
	m.runPeriodic()
	require.Empty(t, sent.kinds, "the period begins when it is set")
}
