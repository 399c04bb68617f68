package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// loadTTL outlasts a restart of Vault, so that leases from before it are there after it.
	loadTTL = 20 * time.Second
	// stride is how many requests succeed between two faults under load.
	stride = 150
)

// disturbance is something that happens to Vault or the plugin under load.
type disturbance struct {
	name   string
	times  int
	befall func(*testing.T, *cluster)
}

// underLoad has vendors under load while something happens, again and again, and compares the books.
func (s *cluster) underLoad(t *testing.T, vendors []vendor, d disturbance) {
	t.Helper()
	random := rand.New(rand.NewPCG(uint64(*seed), 0))
	l := s.startLoad(t, d.name, vendors, random)
	for range d.times {
		l.awaitWork(t, stride)
		d.befall(t, s)
		s.findActive(t)
		s.awaitPlugin(t)
	}
	l.awaitWork(t, stride)
	l.conclude(t)
}

// loaded are the vendors under load.
func loaded() []vendor {
	if testing.Short() {
		return named("ftd", "trend") // whose lost answers are found
	}
	return named("ftd", "trend", "fortianalyzer", "lacework", "fortisiem")
}

func killVault(t *testing.T, s *cluster) {
	t.Helper()
	require.NoError(t, s.server.KillVault())
	require.NoError(t, s.server.RestartVault(t.Context()))
}

func TestVaultUnderLoad(t *testing.T) {
	t.Parallel()
	s := newStand(t, 1, loadTTL)
	if testing.Short() {
		s.underLoad(t, loaded(), disturbance{"Vault killed under load", 1, killVault})
		s.drain(t)
		return
	}
	for _, d := range []disturbance{
		{"Vault killed under load", 3, killVault},
		{"Vault stopped and started under load", 1, func(t *testing.T, s *cluster) {
			t.Helper()
			require.NoError(t, s.server.RestartVault(t.Context()))
		}},
		{"Vault sealed and unsealed under load", 2, func(t *testing.T, s *cluster) {
			t.Helper()
			node := s.server.Nodes()[0]
			require.NoError(t, node.Seal(t.Context()))
			require.NoError(t, node.Unseal(t.Context()))
		}},
		{"plugin killed under load", 5, func(t *testing.T, s *cluster) {
			t.Helper()
			require.NoError(t, s.server.KillPlugin())
		}},
		{"plugin reloaded under load", 3, func(t *testing.T, s *cluster) {
			t.Helper()
			_, err := s.vault().Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", map[string]any{"plugin": devserver.PluginName})
			require.NoError(t, err)
		}},
	} {
		s.underLoad(t, loaded(), d)
	}
	s.drain(t)
}
