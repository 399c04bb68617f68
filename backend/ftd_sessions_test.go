package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// requireNoEviction requires that the device has ended no session for another one.
func (m *mount) requireNoEviction() {
	m.t.Helper()
	for _, credential := range m.vendors.Credentials("ftd") {
		require.NotEqual(m.t, emulator.EndedEvicted, credential.EndedBy, "%+v", credential.Kind)
	}
}

// fillFTD uses all five sessions of the device: three tokens, the engine's login, and one user.
func fillFTD(t *testing.T) *mount {
	t.Helper()
	m := newMount(t)
	m.configure("ftd", nil)
	for range 3 {
		m.read("ftd")
	}
	_, err := m.vendors.Do("ftd", "ui_login", nil)
	require.NoError(t, err)
	return m
}

func TestFTD_FullDevice_ConfigWorkEvictsNoSession(t *testing.T) {
	for name, request := range map[string]func(m *mount){
		"config write": func(m *mount) {
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s"})
		},
		"root credential written again": func(m *mount) {
			m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", nil))
		},
		"config write without verification": func(m *mount) {
			m.must(logical.UpdateOperation, "config/ftd", map[string]any{"request_timeout": "20s", "verify_connection": false})
		},
		"check": func(m *mount) { m.must(logical.UpdateOperation, "config/ftd/check", nil) },
		"rotation": func(m *mount) {
			m.setSwitch("ftd", "password_change_ends", "own_session")
			m.must(logical.UpdateOperation, "config/ftd/rotate-root", nil)
		},
		"wrong password": func(m *mount) {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": "wrong-Passw0rd"})
			m.must(logical.UpdateOperation, "config/ftd/check", nil)
		},
		"restart": func(m *mount) { m.restart(); m.must(logical.UpdateOperation, "config/ftd/check", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			m := fillFTD(t)
			request(m)
			m.requireNoEviction()
			require.Len(t, m.leased("ftd"), 3)
			m.rejected(http.StatusConflict, logical.ReadOperation, "creds/ftd", nil)
			m.requireNoEviction()
		})
	}
}

// max_credentials=0 removes the engine's limit, and not the device's.
func TestFTD_UnlimitedCredentials_EvictsNoSession(t *testing.T) {
	for _, lists := range []string{"no", "yes"} {
		m := newMount(t)
		m.setSwitch("ftd", "custom_tokens_in_sessions", lists)
		m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_credentials": 0}))
		m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "15m"})
		_, err := m.vendors.Do("ftd", "ui_login", nil)
		require.NoError(t, err)
		for i := range 6 {
			_, status, err := m.request(logical.ReadOperation, "creds/ftd", nil)
			require.Equal(t, i < 3, err == nil, "read %d: %v", i+1, err)
			if err != nil {
				require.Equal(t, http.StatusConflict, status)
			}
			if i == 4 {
				m.restart()
			}
		}
		m.requireNoEviction()
	}
}

// A password that was changed at the device stops neither renewals nor revocations while the engine's login lives,
// whatever an operator tries.
func TestFTD_ChangedPassword_LiveLoginRevokes(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	first, second := m.read("ftd"), m.read("ftd")
	m.setSwitch("ftd", "password_change_ends", "own_session")
	_, err := m.vendors.Do("ftd", "change_password", nil)
	require.NoError(t, err)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd/check", nil)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": "wrong-Passw0rd"})
	_, err = m.renew(first, 0)
	require.NoError(t, err)
	require.NoError(t, m.revoke(first))
	require.NoError(t, m.revoke(second))
	require.Empty(t, m.leased("ftd"))
}
