package trend_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestUse_AnyAnswer_ReportsIfKeyIsAccepted(t *testing.T) {
	for name, test := range map[string]struct {
		status   int // of the answer; 0 means the manager's own
		accepted bool
		class    provider.Class // of the error; 0 means none
	}{
		"accepted":     {0, true, 0},
		"unauthorized": {http.StatusUnauthorized, false, 0},
		"forbidden":    {http.StatusForbidden, false, 0},
		"no answer":    {http.StatusServiceUnavailable, false, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			conn := m.open(m.rootFields())
			credential := m.issue(conn)
			if test.status != 0 {
				m.InjectFault(emulator.Fault{Route: "describeCurrentApiKey", Status: test.status})
			}
			accepted, err := conn.(provider.User).Use(t.Context(), credential)
			assert.Equal(t, test.accepted, accepted)
			if test.class == 0 {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, test.class, providerError(t, err).Class)
		})
	}
}

func TestInspect_StoredExpiry_HasAPrecision(t *testing.T) {
	for stored, want := range map[string]string{
		"millisecond": "second or finer", "second": "second or finer", "nothing": "not stored",
		"day_start": "start of the day", "day_end": "end of the day",
	} {
		t.Run(stored, func(t *testing.T) {
			m := newManager(t, "expiry_precision", stored)
			conn := m.open(m.rootFields())
			request := hourRequest(nil)
			request.Lifetime *= 49
			credential, err := conn.Issue(t.Context(), request)
			require.NoError(t, err)
			facts, err := conn.(provider.Inspector).Inspect(t.Context(), credential)
			require.NoError(t, err)
			assert.Equal(t, map[string]string{"expiry_precision": want, "secret_form": "ID"}, facts)
		})
	}
}

func TestInspect_KeyNotReadable_IsAnError(t *testing.T) {
	m := newManager(t)
	conn := m.open(m.rootFields())
	credential := m.issue(conn)
	for route, facts := range map[string]int{"describeApiKey": 0, search: 2} {
		m.InjectFault(emulator.Fault{Route: route, Status: http.StatusServiceUnavailable})
		read, err := conn.(provider.Inspector).Inspect(t.Context(), credential)
		assert.Equal(t, provider.ClassUnavailable, providerError(t, err).Class, route)
		assert.Len(t, read, facts, route)
		m.EndFaults()
	}
	credential.Token = "another"
	read, err := conn.(provider.Inspector).Inspect(t.Context(), credential)
	require.NoError(t, err)
	assert.Equal(t, "another form", read["secret_form"])
}
