package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// The demo fails when one of its statements is not true.
func TestDemo_EveryVendor_VerifiesItsStatements(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Vault server; run without -short")
	}
	var out bytes.Buffer
	err := run(t.Context(), &out, false, "")
	require.NoError(t, err, out.String())
	for _, v := range vendors() {
		assert.Contains(t, out.String(), "$ vault read vendorauth/creds/"+v.roleName())
	}
	assert.Contains(t, out.String(), "Every statement was verified")
}

// The test starts the servers of `make dev`, tries the printed commands, and then interrupts it as Ctrl-C does.
func TestServe_PrintedCommands_Work(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Vault server; run without -short")
	}
	server, err := devserver.Start(t.Context(), devserver.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, server.Close()) })

	// The interrupt comes after the last line was printed.
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &watched{until: "Ctrl-C", found: interrupt}
	require.NoError(t, serve(ctx, &shell{server: server, out: out}, vendors()))

	text := out.String()
	assert.Contains(t, text, "export VAULT_ADDR="+server.Nodes()[0].Address())
	for _, v := range vendors() {
		path, found := strings.CutPrefix(lineWith(text, "creds/"+v.roleName()), "vault read ")
		require.True(t, found)
		secret, err := server.Client().Logical().ReadWithContext(t.Context(), path)
		require.NoError(t, err)
		assert.NotEmpty(t, secret.Data["token"])
		for key, value := range server.Emulator().Vendors[v.Name].Credentials {
			assert.False(t, vendorfacts.SecretField(key) && strings.Contains(text, value), "%s of %s is printed", key, v.Name)
		}
	}
}

// A test of package backend compares the table of vendor facts with the registered vendors.
func TestVendors_TableOfFacts_IsShownCompletely(t *testing.T) {
	var shown []string
	for _, v := range vendors() {
		shown = append(shown, v.Name)
	}
	assert.ElementsMatch(t, vendorfacts.Names(), shown)
}

func TestRun_UnknownVendor_IsRefusedWithTheNames(t *testing.T) {
	err := run(t.Context(), &bytes.Buffer{}, false, "acme")
	require.Error(t, err)
	assert.ErrorContains(t, err, "choose one of ftd, ")
}

func TestBinDir_RelativeProgram_IsAbsolute(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(here, "bin"), binDir("bin/vault"))
}

// watched calls found when the text until has been written.
type watched struct {
	bytes.Buffer
	until string
	found func()
}

func (w *watched) Write(text []byte) (int, error) {
	n, err := w.Buffer.Write(text)
	if strings.Contains(w.String(), w.until) {
		w.found()
	}
	return n, err
}

// lineWith returns the line of text that contains part, without surrounding space.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
