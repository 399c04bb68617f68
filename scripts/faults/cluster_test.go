package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	// pluginBinary is the plugin with the tag failpoints, which `make bin/faults` builds.
	pluginBinary = "../../bin/faults/" + devserver.PluginName

	// failpointVariable is the plugin's environment variable with the path of the file that arms a failpoint.
	failpointVariable = "VENDORAUTH_FAILPOINT_FILE"

	startTimeout = 3 * time.Minute
	// recoveryTimeout bounds events that take a second or two on an idle machine.
	recoveryTimeout = 60 * time.Second
	// longestLease is the max_lease_ttl of the mount. No token of the emulators lives longer.
	longestLease = 150 * time.Second
	// drainTimeout covers the longest life of a credential that cannot be revoked, the engine's grace of a minute, and a
	// minute of a vendor's Retry-After.
	drainTimeout = 4 * time.Minute
)

// cluster is a Vault cluster with the emulated vendors, for one test.
type cluster struct {
	server     *devserver.Server
	httpClient *http.Client
	// ttl is the TTL of the roles. The engine ends a credential whose lease Vault has lost a few seconds after it.
	ttl time.Duration
	// failpointDir is the directory of the file that arms a failpoint.
	failpointDir string

	mu sync.Mutex
	// client sends requests to the active node and retries none: a retried request is a scenario of its own.
	client *api.Client
	// open holds the configs that may have credentials.
	open map[string]target
	// scenarios holds all scenarios that have begun, by the names of their roles.
	scenarios map[string]*scenario
	// reported holds the ids of the orphans that were counted, and counted those of all credentials that were counted.
	reported, counted map[string]bool
}

// newCluster starts a cluster. The end of the test stops it and deletes its files.
func newCluster(t *testing.T, nodes int, ttl time.Duration) *cluster {
	t.Helper()
	plugin, err := filepath.Abs(pluginBinary)
	require.NoError(t, err)
	cl := &cluster{
		ttl: ttl, failpointDir: t.TempDir(), open: map[string]target{}, scenarios: map[string]*scenario{},
		reported: map[string]bool{}, counted: map[string]bool{},
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	cl.server, err = devserver.Start(ctx, devserver.Options{
		PluginBinary: plugin, Nodes: nodes, Env: []string{failpointVariable + "=" + cl.failpointFile()}, LogLevel: "debug",
	})
	require.NoError(t, err)
	running.Store(cl, nil)
	t.Cleanup(func() {
		running.Delete(cl)
		if t.Failed() {
			cl.keepLogs(t)
		}
		// A node whose peers have stopped would stop slowly.
		require.NoError(t, cl.server.KillVault())
		require.NoError(t, cl.server.Close())
	})
	cl.httpClient, err = vendorClient(cl.server.Emulator())
	require.NoError(t, err)
	t.Cleanup(cl.httpClient.CloseIdleConnections)
	cl.findActive(t)
	// When the vendor alone decides how long a token lives, and its answer was lost, the engine keeps the ledger entry
	// for the longest lease of the mount.
	tuneMaxLeaseTTL(t, cl, longestLease)
	for _, v := range emulatedTargets() {
		for name, value := range v.switches {
			require.NoError(t, cl.server.Control().SetSwitch(ctx, v.Name, name, value))
		}
	}
	return cl
}

// tuneMaxLeaseTTL sets the longest lease of the mount.
func tuneMaxLeaseTTL(t *testing.T, cl *cluster, longest time.Duration) {
	t.Helper()
	_, err := cl.vault().Logical().WriteWithContext(t.Context(), "sys/mounts/"+cl.server.MountPath()+"/tune",
		map[string]any{"max_lease_ttl": longest.String()})
	require.NoError(t, err)
}

// running holds the clusters that must be stopped when the run is interrupted.
var running sync.Map

// stopAll stops all running clusters.
func stopAll() {
	running.Range(func(cl, _ any) bool {
		if err := cl.(*cluster).server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "faults:", err)
		}
		return true
	})
}

// keepLogs saves the servers' logs of a test that has failed.
func (cl *cluster) keepLogs(t *testing.T) {
	t.Helper()
	dir := filepath.Join("..", "..", "bin", "faults", "logs", t.Name())
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Logf("the logs are lost: %v", err)
		return
	}
	files := map[string]string{"emulator.log": cl.server.EmulatorLog()}
	for _, node := range cl.server.Nodes() {
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

// findActive waits until a node is active, and sends requests to it from then on.
func (cl *cluster) findActive(t *testing.T) {
	t.Helper()
	active, err := cl.server.AwaitActive(t.Context())
	require.NoError(t, err)
	cl.use(active)
}

// use sends requests to a node from now on.
func (cl *cluster) use(node *devserver.Node) {
	client := node.Client()
	client.SetMaxRetries(0)
	client.SetClientTimeout(30 * time.Second)
	cl.mu.Lock()
	defer cl.mu.Unlock()
	cl.client = client
}

// vault returns a client of the active node.
func (cl *cluster) vault() *api.Client {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	return cl.client
}

// path returns a path of the mount.
func (cl *cluster) path(format string, args ...any) string {
	return cl.server.MountPath() + "/" + fmt.Sprintf(format, args...)
}

// openConfigs returns the configs that may have credentials: those of one vendor, or all when vendor is empty.
func (cl *cluster) openConfigs(vendor string) []string {
	cl.mu.Lock()
	defer cl.mu.Unlock()
	var names []string
	for name, v := range cl.open {
		if vendor == "" || v.Name == vendor {
			names = append(names, name)
		}
	}
	return names
}

// awaitPlugin waits until the plugin answers again. Vault needs a moment to detect that it has ended, and starts it for
// the next request.
func (cl *cluster) awaitPlugin(t *testing.T) {
	t.Helper()
	var err error
	require.True(t, await(recoveryTimeout, func() bool {
		_, err = cl.vault().Logical().ReadWithContext(t.Context(), cl.path("info"))
		return err == nil
	}), "the plugin does not answer again: %v", err)
}

// failpointFile is the file that arms a failpoint.
func (cl *cluster) failpointFile() string { return filepath.Join(cl.failpointDir, "armed") }

// armFailpoint makes the next process that reaches the failpoint kill itself.
func (cl *cluster) armFailpoint(t *testing.T, failpoint string) {
	t.Helper()
	cl.writeFailpoint(t, failpoint)
}

// armHold makes every request that reaches the failpoint wait there, until disarm.
func (cl *cluster) armHold(t *testing.T, failpoint string) {
	t.Helper()
	cl.writeFailpoint(t, failpoint+" hold")
}

// writeFailpoint writes the file in one step, so that the plugin reads no half-written one.
func (cl *cluster) writeFailpoint(t *testing.T, command string) {
	t.Helper()
	require.NoError(t, os.WriteFile(cl.failpointFile()+".new", []byte(command), 0o600))
	require.NoError(t, os.Rename(cl.failpointFile()+".new", cl.failpointFile()))
}

// disarm disarms the failpoint and releases the requests that wait there.
func (cl *cluster) disarm(t *testing.T) {
	t.Helper()
	if err := os.Remove(cl.failpointFile()); !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	waiting, err := filepath.Glob(cl.waitingFiles())
	require.NoError(t, err)
	for _, file := range waiting {
		require.NoError(t, os.Remove(file))
	}
}

// fired reports whether a process has reached the armed failpoint: it deletes the file before it kills itself.
func (cl *cluster) fired() bool {
	_, err := os.Stat(cl.failpointFile())
	return errors.Is(err, fs.ErrNotExist)
}

// waitingFiles matches the files of the requests that wait at the armed failpoint.
func (cl *cluster) waitingFiles() string { return filepath.Join(cl.failpointDir, "held-*") }

// awaitWaiting waits until that many requests wait at the armed failpoint.
func (cl *cluster) awaitWaiting(t *testing.T, requests int, failpoint string, op operation) {
	t.Helper()
	var waiting []string
	require.True(t, await(recoveryTimeout, func() bool {
		var err error
		waiting, err = filepath.Glob(cl.waitingFiles())
		require.NoError(t, err)
		return len(waiting) >= requests
	}), "%s, %s: %d of %d requests have reached the failpoint", failpoint, op.name, len(waiting), requests)
}

// await calls ready at short intervals until it returns true, and reports false after the timeout: neither Vault nor the
// vendors announce the events that the tests wait for.
func await(timeout time.Duration, ready func() bool) bool {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	ticker := time.NewTicker(min(timeout/100, 500*time.Millisecond))
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
