package devserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shell starts a shell script.
func shell(t *testing.T, script string) *process {
	t.Helper()
	p, err := startProcess("the script", filepath.Join(t.TempDir(), "log"), os.Environ(), "/bin/sh", "-c", script)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.kill()) })
	return p
}

// printed is ready when the process's output contains a word.
func printed(p *process, word string) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return strings.Contains(p.output(), word), nil }
}

func TestAwait_ProcessExits_ReturnsTheEndOfItsLog(t *testing.T) {
	p := shell(t, "echo first; echo the reason >&2; exit 3")
	err := p.await(t.Context(), "the moon", printed(p, "never"))
	require.Error(t, err)
	assert.ErrorContains(t, err, "exit status 3")
	assert.ErrorContains(t, err, "while this program waited for the moon")
	assert.ErrorContains(t, err, "the reason")
}

func TestAwait_ContextDone_ReturnsItsCause(t *testing.T) {
	p := shell(t, "exec sleep 60")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	err := p.await(ctx, "the moon", printed(p, "never"))
	require.Error(t, err)
	assert.ErrorContains(t, err, "enough")
	assert.True(t, p.running())
}

func TestStop_ProcessHandlesSIGTERM_IsNotKilled(t *testing.T) {
	p := shell(t, "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
	require.NoError(t, p.await(t.Context(), "its trap", printed(p, "ready")))
	require.NoError(t, p.stop())
	assert.Contains(t, p.output(), "bye")
	assert.False(t, p.running())
	assert.NoError(t, p.stop(), "stopping twice is allowed")
}

func TestKill_ProcessWithChild_EndsTheChildToo(t *testing.T) {
	p := shell(t, "sleep 300 & echo child=$!; wait")
	require.NoError(t, p.await(t.Context(), "its child", printed(p, "child=")))
	child := strings.TrimPrefix(strings.TrimSpace(p.output()), "child=")
	require.NoError(t, p.kill())
	assert.Eventually(t, func() bool {
		state, err := os.ReadFile("/proc/" + child + "/stat")
		// Until init reaps it, the killed child is a zombie.
		return err != nil || strings.Contains(string(state), ") Z ")
	}, 5*time.Second, 10*time.Millisecond)
}

func TestFreePorts_SeveralPorts_Differ(t *testing.T) {
	ports, err := freePorts(t.Context(), 20)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, port := range ports {
		assert.False(t, seen[port])
		seen[port] = true
	}
	assert.Len(t, seen, 20)
}

func TestStart_ProgramMissing_NamesTheRemedy(t *testing.T) {
	_, err := Start(t.Context(), Options{VaultBinary: filepath.Join(t.TempDir(), "vault")})
	require.Error(t, err)
	assert.ErrorContains(t, err, "run `make bin/vault`")
}

func TestEnviron_VaultVariables_AreNotInherited(t *testing.T) {
	t.Setenv("VAULT_ADDR", "https://production.example")
	t.Setenv("VAULT_TOKEN", "hvs.production")
	for _, v := range environWithoutVault() {
		assert.False(t, strings.HasPrefix(v, "VAULT_"), v)
	}
}
