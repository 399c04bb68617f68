package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// output is a bytes.Buffer that is safe for concurrent use.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// begin runs the command until stop is called. stop returns the error of run.
func begin(t *testing.T, args ...string) (state emulator.State, logged *output, stop func() error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.json")
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	logged, done := &output{}, make(chan error, 1)
	go func() { done <- run(ctx, append([]string{"-state", path}, args...), logged) }()
	var content []byte
	require.Eventually(t, func() bool {
		var err error
		content, err = os.ReadFile(path)
		return err == nil
	}, 20*time.Second, 5*time.Millisecond, "no state file: %s", logged)
	require.NoError(t, json.Unmarshal(content, &state))
	return state, logged, func() error {
		cancel()
		err := <-done
		left, readErr := os.ReadDir(filepath.Dir(path))
		require.NoError(t, readErr)
		require.Empty(t, left, "the state file is removed")
		return err
	}
}

func TestRun_TLS_ServesAllVendorsUntilStopped(t *testing.T) {
	state, logged, stop := begin(t, "-seed", "5")
	ca, err := os.ReadFile(state.CACertFile)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	require.Contains(t, state.Vendors, "ftd")
	require.Contains(t, state.Vendors, "lacework")
	for name, vendor := range state.Vendors {
		require.NotEmpty(t, vendor.Credentials, name)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, vendor.URL, nil)
		require.NoError(t, err)
		resp, err := (&http.Client{Transport: transport}).Do(req)
		require.NoError(t, err, name)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		for _, secret := range vendor.Credentials {
			if len(secret) > 8 {
				require.NotContains(t, logged.String(), secret)
			}
		}
	}
	require.Contains(t, logged.String(), "seed=5")
	require.NoError(t, stop())
}

func TestRun_PlainHTTPWithoutSeed_LogsARandomSeed(t *testing.T) {
	state, logged, stop := begin(t, "-plain-http", "-latency", "1ms", "-listen", "127.0.0.1")
	require.Empty(t, state.CACertFile)
	require.True(t, strings.HasPrefix(state.Vendors["ftd"].URL, "http://127.0.0.1:"))
	require.Regexp(t, `seed=[1-9]`, logged.String())
	require.NoError(t, stop())
}

func TestRun_InvalidArguments_AreRefused(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state.json")
	for name, c := range map[string]struct {
		args    []string
		message string
	}{
		"no state file":        {nil, "-state is missing"},
		"not loopback":         {[]string{"-state", state, "-listen", "0.0.0.0"}, "not a loopback address"},
		"no such folder":       {[]string{"-state", state + "/none/state.json"}, "state.json"},
		"a stray argument":     {[]string{"-state", state, "extra"}, "unexpected argument"},
		"a malformed duration": {[]string{"-state", state, "-latency", "soon"}, "invalid value"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), c.args, io.Discard)
			require.ErrorContains(t, err, c.message)
			_, err = os.Stat(state)
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
	require.True(t, errors.Is(run(t.Context(), []string{"-h"}, io.Discard), flag.ErrHelp))
}
