package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	// pluginBinary is the plugin with the tag failpoints; `make test-faults` builds it.
	pluginBinary = "../../bin/faults/" + devserver.PluginName

	// failpointFile is the plugin's variable that names the file with the order to die.
	failpointFile = "VENDORAUTH_FAILPOINT_FILE"

	startTimeout = 3 * time.Minute
	// patience is for what takes a second or two on an idle machine.
	patience = 60 * time.Second
	// longestLease is the mount's. It covers the life of every token of the emulators.
	longestLease = 150 * time.Second
	// drainTimeout covers the longest that a credential lives which nobody can end, a minute's grace of the engine,
	// and a minute for which a vendor wishes to be left alone.
	drainTimeout = 4 * time.Minute
)

// cluster is a Vault cluster with the vendors beside it, for one test.
type cluster struct {
	server *devserver.Server
	web    *http.Client
	// ttl is that of the roles: a credential whose lease Vault has lost is ended a few seconds after it.
	ttl time.Duration
	// orders is the directory with the file that tells the plugin where to die.
	orders string

	mu sync.Mutex
	// client talks to the active node and repeats nothing: what a repetition does is a trial of its own.
	client *api.Client
	// open are the configs that may have credentials, with the emulator's name of their vendor.
	open map[string]string
	// trials are all that have begun, by the names of their roles.
	trials map[string]*scenario
	// reported are the orphans that have been counted, and counted is everything that a vendor has made.
	reported, counted map[string]bool
}

// newStand starts a cluster. It is stopped when the test ends, and nothing of it is left.
func newStand(t *testing.T, nodes int, ttl time.Duration) *cluster {
	t.Helper()
	plugin, err := filepath.Abs(pluginBinary)
	require.NoError(t, err)
	s := &cluster{ttl: ttl, orders: t.TempDir(), open: map[string]string{}, trials: map[string]*scenario{}, reported: map[string]bool{}, counted: map[string]bool{}}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	s.server, err = devserver.Start(ctx, devserver.Options{
		PluginBinary: plugin, Nodes: nodes, Env: []string{failpointFile + "=" + s.orderFile()}, LogLevel: "debug",
	})
	require.NoError(t, err)
	running.Store(s, nil)
	t.Cleanup(func() {
		running.Delete(s)
		if t.Failed() {
			s.keepLogs(t)
		}
		// A node that the others have left would take its time.
		require.NoError(t, s.server.KillVault())
		require.NoError(t, s.server.Close())
	})
	s.web, err = vendorClient(s.server.Emulator())
	require.NoError(t, err)
	t.Cleanup(s.web.CloseIdleConnections)
	s.findActive(t)
	// The account of a token whose life the vendor alone decides, and whose answer was lost, is kept for so long.
	_, err = s.server.Client().Logical().WriteWithContext(ctx, "sys/mounts/"+s.server.MountPath()+"/tune",
		map[string]any{"max_lease_ttl": longestLease.String()})
	require.NoError(t, err)
	for _, v := range vendors() {
		for name, value := range v.switches {
			require.NoError(t, s.server.Control().SetSwitch(ctx, v.emulated, name, value))
		}
	}
	return s
}

// running are the stands that are to be stopped when the run is interrupted.
var running sync.Map

func stopAll() {
	running.Range(func(s, _ any) bool {
		if err := s.(*cluster).server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "faults:", err)
		}
		return true
	})
}

// keepLogs saves the servers' logs of a test that has failed.
func (s *cluster) keepLogs(t *testing.T) {
	t.Helper()
	dir := filepath.Join("..", "..", "bin", "faults", "logs", t.Name())
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Logf("the logs are lost: %v", err)
		return
	}
	files := map[string]string{"emulator.log": s.server.EmulatorLog()}
	for _, node := range s.server.Nodes() {
		files[filepath.Base(filepath.Dir(node.LogPath()))+".log"] = node.LogPath()
	}
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), content, 0o600)
		}
		if err != nil {
			t.Logf("a log is lost: %v", err)
		}
	}
	t.Logf("the servers' logs are in %s", dir)
}

// findActive makes the client one of the active node.
func (s *cluster) findActive(t *testing.T) {
	t.Helper()
	active, err := s.server.AwaitActive(t.Context())
	require.NoError(t, err)
	s.use(active)
}

// use makes the client one of a node.
func (s *cluster) use(node *devserver.Node) {
	client := node.Client()
	client.SetMaxRetries(0)
	client.SetClientTimeout(30 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client = client
}

// vault is a client of the active node.
func (s *cluster) vault() *api.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// at is a path of the mount.
func (s *cluster) at(format string, args ...any) string {
	return s.server.MountPath() + "/" + fmt.Sprintf(format, args...)
}

// openConfigs are the configs that may have credentials, all or one vendor's.
func (s *cluster) openConfigs(emulated string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, of := range maps.All(s.open) {
		if emulated == "" || of == emulated {
			names = append(names, name)
		}
	}
	return names
}

// awaitPlugin waits until the plugin answers again: Vault takes a moment to see that it is gone, and starts it
// for the next request.
func (s *cluster) awaitPlugin(t *testing.T) {
	t.Helper()
	var err error
	require.True(t, await(patience, func() bool {
		_, err = s.vault().Logical().ReadWithContext(t.Context(), s.at("info"))
		return err == nil
	}), "the plugin does not come back: %v", err)
}

func (s *cluster) orderFile() string { return filepath.Join(s.orders, "order") }

// order tells the plugin what to do at a step: see the engine's failpoints. An empty order takes it back.
func (s *cluster) order(t *testing.T, what string) {
	t.Helper()
	if what == "" {
		if err := os.Remove(s.orderFile()); !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
		}
		held, err := filepath.Glob(filepath.Join(s.orders, "held-*"))
		require.NoError(t, err)
		for _, file := range held {
			require.NoError(t, os.Remove(file))
		}
		return
	}
	// Renamed, so that no half-written order is read.
	require.NoError(t, os.WriteFile(s.orderFile()+".new", []byte(what), 0o600))
	require.NoError(t, os.Rename(s.orderFile()+".new", s.orderFile()))
}

// obeyed tells whether a process has taken the order to die.
func (s *cluster) obeyed() bool {
	_, err := os.Stat(s.orderFile())
	return errors.Is(err, fs.ErrNotExist)
}

// held counts who waits at the step of the order.
func (s *cluster) held() int {
	files, err := filepath.Glob(filepath.Join(s.orders, "held-*"))
	if err != nil {
		return 0
	}
	return len(files)
}

// await asks at short intervals until the answer is yes, and reports false when time is up: neither Vault nor
// the vendors announce what is waited for.
func await(within time.Duration, ready func() bool) bool {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	ticker := time.NewTicker(min(within/100, 500*time.Millisecond))
	defer ticker.Stop()
	for {
		if ready() {
			return true
		}
		select {
		case <-deadline.C:
			return ready()
		case <-ticker.C:
		}
	}
}
