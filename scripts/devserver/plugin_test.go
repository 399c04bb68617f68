package devserver

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlugin_Killed_VaultStartsItAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Vault server; run without -short")
	}
	if runtime.GOOS != "linux" {
		t.Skip("finding a plugin's processes needs Linux")
	}
	s, err := Start(t.Context(), Options{MountPath: "/elsewhere/", WithoutEmulator: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	ctx := t.Context()
	assert.Equal(t, "elsewhere", s.MountPath())
	answer := func() {
		secret, err := s.Client().Logical().ReadWithContext(ctx, "elsewhere/info")
		require.NoError(t, err)
		assert.NotEmpty(t, secret.Data)
	}
	node := s.Nodes()[0]
	answer()
	first, err := node.PluginProcesses()
	require.NoError(t, err)
	require.NotEmpty(t, first)

	require.NoError(t, s.KillPlugin())
	answer()
	second, err := node.PluginProcesses()
	require.NoError(t, err)
	require.NotEmpty(t, second)
	assert.NotEqual(t, first, second)

	require.NoError(t, s.KillVault())
	left, err := node.PluginProcesses()
	require.NoError(t, err)
	assert.Empty(t, left, "no plugin of a killed Vault runs")

	require.NoError(t, s.RestartVault(ctx))
	answer()
}

func TestCopyExecutable_Program_IsExecutableCopy(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	require.NoError(t, os.WriteFile(from, []byte("program"), 0o600))
	require.NoError(t, copyExecutable(from, to))
	info, err := os.Stat(to)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	sum, err := fileSHA256(to)
	require.NoError(t, err)
	want := sha256.Sum256([]byte("program"))
	assert.Equal(t, hex.EncodeToString(want[:]), sum)
}
