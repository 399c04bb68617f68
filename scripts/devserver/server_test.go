package devserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var kvMount = &api.MountInput{Type: "kv"}

// startVault starts Vault without plugin and emulator. It needs the program that `make bin/vault` builds; without it the test
// fails with the remedy, unless it runs with -short.
func startVault(t *testing.T, nodes int) *Server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real Vault server; run without -short")
	}
	s, err := Start(t.Context(), Options{Nodes: nodes, WithoutPlugin: true, WithoutEmulator: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// writeValue and readValue use a key-value engine at kv/.
func writeValue(t *testing.T, n *Node, value string) {
	t.Helper()
	_, err := n.Client().Logical().WriteWithContext(t.Context(), "kv/x", map[string]any{"value": value})
	require.NoError(t, err)
}

func readValue(t *testing.T, n *Node) any {
	t.Helper()
	secret, err := n.Client().Logical().ReadWithContext(t.Context(), "kv/x")
	require.NoError(t, err)
	require.NotNil(t, secret)
	return secret.Data["value"]
}

func TestServer_RestartKillSeal_KeepsItsStorage(t *testing.T) {
	s := startVault(t, 1)
	ctx := t.Context()
	node := s.Nodes()[0]
	require.NoError(t, s.Client().Sys().MountWithContext(ctx, "kv", kvMount))
	writeValue(t, node, "1")

	require.NoError(t, s.RestartVault(ctx))
	assert.Equal(t, "1", readValue(t, node))

	writeValue(t, node, "2")
	require.NoError(t, s.KillVault())
	assert.False(t, node.Running())
	require.NoError(t, s.RestartVault(ctx))
	assert.Equal(t, "2", readValue(t, node))

	require.NoError(t, node.Seal(ctx))
	_, err := node.Client().Logical().ReadWithContext(ctx, "kv/x")
	require.Error(t, err)
	require.NoError(t, node.Unseal(ctx))
	assert.Equal(t, "2", readValue(t, node))
}

func TestCluster_LeaderKilled_SuccessorTakesOver(t *testing.T) {
	s := startVault(t, 3)
	ctx := t.Context()
	require.NoError(t, s.Client().Sys().MountWithContext(ctx, "kv", kvMount))
	leader, err := s.Active(ctx)
	require.NoError(t, err)
	writeValue(t, leader, "1")

	require.NoError(t, leader.Kill())
	next, err := s.AwaitActive(ctx)
	require.NoError(t, err)
	assert.NotEqual(t, leader.Address(), next.Address())
	assert.Equal(t, "1", readValue(t, next))

	require.NoError(t, leader.Start(ctx), "the old leader starts as a follower")
	assert.Equal(t, "1", readValue(t, leader), "and forwards requests")
}

func TestClose_RunningServer_LeavesNothing(t *testing.T) {
	s := startVault(t, 1)
	pid, dir, sockets := s.Nodes()[0].PID(), s.Dir(), s.socketDir
	require.DirExists(t, dir)
	require.NoError(t, s.Close())
	assert.NoDirExists(t, dir)
	assert.NoDirExists(t, sockets)
	vault, err := filepath.EvalSymlinks(s.options.VaultBinary)
	require.NoError(t, err)
	running, err := processesBelow(filepath.Dir(vault))
	require.NoError(t, err)
	assert.NotContains(t, running, pid)
	assert.NoError(t, s.Close(), "closing twice is allowed")
}

func TestStart_InvalidConfiguration_ReturnsVaultsLog(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Vault server; run without -short")
	}
	_, err := Start(t.Context(), Options{LogLevel: "shouting", WithoutPlugin: true, WithoutEmulator: true})
	require.Error(t, err)
	assert.ErrorContains(t, err, "shouting")
}

func TestStart_DirectoryNotEmpty_IsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("needs the Vault binary; run without -short")
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "mine"), []byte("precious"), 0o600))
	_, err := Start(t.Context(), Options{Dir: dir, WithoutPlugin: true, WithoutEmulator: true})
	require.Error(t, err)
	assert.ErrorContains(t, err, "is not empty")
	assert.FileExists(t, filepath.Join(dir, "mine"))
}

func TestEnviron_VaultCommand_UsesTheServer(t *testing.T) {
	t.Setenv("VAULT_ADDR", "https://production.example")
	s := startVault(t, 1)
	environ := strings.Join(s.Environ(), "\n")
	assert.Contains(t, environ, "VAULT_ADDR="+s.Nodes()[0].Address())
	assert.Contains(t, environ, "VAULT_TOKEN="+s.RootToken())
	assert.NotContains(t, environ, "production")
}
