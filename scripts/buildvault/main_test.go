package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseVersion_ReleasedVault_ReturnsItsNumber(t *testing.T) {
	for output, want := range map[string]version{
		"Vault v1.21.1, built 2025-11-18T21:04:32Z\n":                  {1, 21, 1},
		"Vault v1.16.0 (abcdef1234), built 2024-03-25T12:01:32Z (cgo)": {1, 16, 0},
		"Vault v1.9.2":                      {1, 9, 2},
		"Vault v2.0.0-rc1 (abc), built now": {2, 0, 0},
	} {
		got, err := parseVersion(output)
		require.NoError(t, err, output)
		assert.Equal(t, want, got, output)
	}
}

func TestParseVersion_UnusableProgram_IsRefused(t *testing.T) {
	_, err := parseVersion("Vault v1.18.0+ent (abcdef), built 2024-10-08T09:12:52Z")
	require.ErrorIs(t, err, errEnterprise)
	for _, output := range []string{"", "OpenBao v2.0.0", "Vault (version unknown)", "v1.21.1"} {
		_, err := parseVersion(output)
		assert.Error(t, err, output)
	}
}

func TestVersionLess_EachPart_ComparesByNumber(t *testing.T) {
	assert.True(t, version{1, 9, 9}.less(version{1, 16, 0}))
	assert.True(t, version{1, 16, 0}.less(version{1, 16, 1}))
	assert.False(t, version{1, 16, 0}.less(version{1, 16, 0}))
	assert.False(t, version{2, 0, 0}.less(version{1, 16, 0}))
}

// installVault writes a program to dir that prints a version, and returns its path.
func installVault(t *testing.T, dir, prints string) string {
	t.Helper()
	path := filepath.Join(dir, "vault")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\necho '"+prints+"'\n"), 0o755)) // #nosec G306 -- a program
	return path
}

func TestLinkFromPath_RecentVault_IsLinked(t *testing.T) {
	old, enterprise, recent, bin := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	installVault(t, old, "Vault v1.15.6")
	installVault(t, enterprise, "Vault v1.21.1+ent")
	want := installVault(t, recent, "Vault v1.17.2")
	out := filepath.Join(bin, "vault")
	list := string(filepath.ListSeparator)
	t.Setenv("PATH", bin+list+old+list+enterprise+list+recent+list+os.Getenv("PATH"))

	for range 2 { // the second time, the link itself is the first vault on the PATH
		linked, err := linkFromPath(t.Context(), out)
		require.NoError(t, err)
		require.True(t, linked)
		target, err := os.Readlink(out)
		require.NoError(t, err)
		assert.Equal(t, want, target)
	}
}

func TestLinkFromPath_OldVault_IsIgnored(t *testing.T) {
	old, out := t.TempDir(), filepath.Join(t.TempDir(), "vault")
	installVault(t, old, "Vault v1.15.6")
	t.Setenv("PATH", old)
	linked, err := linkFromPath(t.Context(), out)
	require.NoError(t, err)
	assert.False(t, linked)
	assert.NoFileExists(t, out)
}

func TestPinnedServer_Module_NamesAUsableVersion(t *testing.T) {
	pinned, err := pinnedServer(t.Context(), "../vault")
	require.NoError(t, err)
	v, err := parseVersion("Vault " + pinned.Version)
	require.NoError(t, err)
	assert.False(t, v.less(oldestUsable))
}

func TestExplain_KnownFailure_NamesTheRemedy(t *testing.T) {
	failed := errors.New("exit status 1")
	for output, want := range map[string]string{
		"go: x@v1: Get \"https://p/\": dial tcp: lookup p: no such host": "module proxy did not answer",
		"write /tmp/x.a: no space left on device":                        "the disk is full",
		"compile: signal: killed":                                        "out of memory",
		"go: go.mod requires go >= 1.99 (running go 1.26)":               "this Go is too old",
		"verifying module: checksum mismatch":                            "checksums do not match",
		"x.go:1:1: syntax error":                                         "syntax error",
	} {
		err := explain(t.Context(), "build Vault", failed, output)
		require.ErrorIs(t, err, failed)
		assert.ErrorContains(t, err, "build Vault")
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, output)
	}
	assert.ErrorContains(t, explain(t.Context(), "build Vault", exec.ErrNotFound, ""), "install Go")
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	assert.ErrorContains(t, explain(interrupted, "build Vault", failed, "signal: interrupt"), "interrupted")
}

// steppingClock returns a clock that advances by a second at each call.
func steppingClock() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func TestProgress_Terminal_OverwritesOneLine(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, terminal: true, now: steppingClock()}
	p.started = p.now()
	p.update("1 of 2")
	p.update("2 of 2")
	p.finish()
	assert.Equal(t, "\r  1 of 2 (2s)\x1b[K\r  2 of 2 (4s)\x1b[K\n", out.String())
}

func TestProgress_NoTerminal_PrintsALineAtIntervals(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, interval: 5 * time.Second, now: steppingClock()}
	p.started = p.now()
	p.printed = p.started
	for _, text := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		p.update(text)
	}
	p.finish()
	assert.Equal(t, "  5 (6s)\n  7 (9s)\n", out.String())
}

func TestRun_UpToDateBinary_IsNotBuiltAgain(t *testing.T) {
	module, out := t.TempDir(), filepath.Join(t.TempDir(), "vault")
	require.NoError(t, os.WriteFile(filepath.Join(module, "go.mod"), []byte("module x\n"), 0o600))
	t.Setenv("PATH", filepath.Dir(mustLookPath(t, "go")))
	// The module pins nothing, so a build would fail.
	err := run(t.Context(), out, module, true)
	require.Error(t, err)
	assert.NoFileExists(t, out)

	pinned, err := pinnedServer(t.Context(), "../vault")
	require.NoError(t, err)
	installVault(t, filepath.Dir(out), "Vault "+pinned.Version+", built for this test")
	t.Setenv("PATH", filepath.Dir(mustLookPath(t, "go"))+string(filepath.ListSeparator)+"/bin")
	require.NoError(t, run(t.Context(), out, "../vault", true))
}

func mustLookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	require.NoError(t, err)
	return path
}
