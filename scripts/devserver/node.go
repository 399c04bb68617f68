package devserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/vault/api"
)

const (
	// nodeDeadline bounds each step of a node's start: the first answer, and the election of a leader.
	nodeDeadline = 60 * time.Second
	// launchAttempts is how often the start of a node is tried when its port is in use.
	launchAttempts = 5
)

// Node is one Vault server of the cluster.
type Node struct {
	server *Server
	name   string
	dir    string

	apiPort, clusterPort int

	client *api.Client // with the root token
	probe  *api.Client // sends health checks and never retries

	latest atomic.Pointer[process] // see method process
}

// process returns the latest process of the node, or nil before the first start.
func (n *Node) process() *process { return n.latest.Load() }

func newNode(s *Server, i int) *Node {
	name := fmt.Sprintf("node-%d", i)
	return &Node{server: s, name: name, dir: filepath.Join(s.dir, name)}
}

// Address is the URL of the node's API. It stays the same across restarts.
func (n *Node) Address() string { return fmt.Sprintf("http://127.0.0.1:%d", n.apiPort) }

// Client returns a new client with the root token for this node. A standby forwards requests to the active node. The caller
// may change the client.
func (n *Node) Client() *api.Client {
	// CloneWithHeaders fails only for a client without an address.
	clone, err := n.client.CloneWithHeaders()
	if err != nil {
		panic("devserver: clone a client: " + err.Error())
	}
	clone.SetToken(n.client.Token())
	return clone
}

// LogPath is the path of the log of the node and its plugins.
func (n *Node) LogPath() string { return filepath.Join(n.dir, "vault.log") }

// StorageDir is the directory of the node's storage.
func (n *Node) StorageDir() string { return filepath.Join(n.dir, "raft") }

// PluginPath is the node's own copy of the plugin binary.
func (n *Node) PluginPath() string { return filepath.Join(n.pluginDir(), PluginName) }

func (n *Node) pluginDir() string { return filepath.Join(n.dir, "plugins") }

// Running reports whether the node's process runs.
func (n *Node) Running() bool {
	p := n.process()
	return p != nil && p.running()
}

// PID returns the id of the node's process, or 0 before the first start.
func (n *Node) PID() int {
	if p := n.process(); p != nil {
		return p.pid
	}
	return 0
}

// Start starts a stopped or killed node on the same storage and ports, and unseals it.
func (n *Node) Start(ctx context.Context) error {
	if err := n.launch(ctx, false); err != nil {
		return err
	}
	return n.Unseal(ctx)
}

// Stop stops the node with SIGTERM. Its plugins end with it.
func (n *Node) Stop() error {
	p := n.process()
	if p == nil {
		return nil
	}
	return errors.Join(p.stop(), n.killOrphans())
}

// Kill kills the node and its plugins, as a power cut does.
func (n *Node) Kill() error {
	p := n.process()
	if p == nil {
		return nil
	}
	return errors.Join(p.kill(), n.killOrphans())
}

// killOrphans kills the plugins that a killed Vault may have left running. On systems that cannot list these processes, they
// belong to the process group that was killed.
func (n *Node) killOrphans() error {
	pids, err := n.PluginProcesses()
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return killAll(pids)
}

// PluginProcesses returns the ids of this node's plugin processes, of every installed version. It needs Linux.
func (n *Node) PluginProcesses() ([]int, error) { return processesBelow(n.pluginDir()) }

// KillPlugin kills this node's plugin processes, waits until they have ended, and returns their number. It needs Linux.
func (n *Node) KillPlugin() (int, error) {
	pids, err := n.PluginProcesses()
	if err != nil {
		return 0, err
	}
	if err := killAll(pids); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return len(pids), n.process().await(ctx, "the end of its killed plugins", func(context.Context) (bool, error) {
		left, err := n.PluginProcesses()
		for _, pid := range left {
			for _, killed := range pids {
				if pid == killed {
					return false, err
				}
			}
		}
		return err == nil, err
	})
}

func killAll(pids []int) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("kill process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// Seal seals the node, which must be active.
func (n *Node) Seal(ctx context.Context) error {
	if err := n.client.Sys().SealWithContext(ctx); err != nil {
		return fmt.Errorf("%s: seal: %w", n.name, err)
	}
	return nil
}

// Unseal unseals the node, and waits until it is active or follows a leader.
func (n *Node) Unseal(ctx context.Context) error {
	if err := n.submitKey(ctx); err != nil {
		return err
	}
	return n.awaitReady(ctx)
}

func (n *Node) submitKey(ctx context.Context) error {
	if _, err := n.client.Sys().UnsealWithContext(ctx, n.server.unsealKey); err != nil {
		return fmt.Errorf("%s: unseal: %w", n.name, err)
	}
	return nil
}

// awaitReady waits until the node is active or follows a leader.
func (n *Node) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, nodeDeadline)
	defer cancel()
	return n.process().await(ctx, "a leader", func(ctx context.Context) (bool, error) {
		// Until a leader is elected, the node answers with errors.
		health, err := n.probe.Sys().HealthWithContext(ctx)
		if err != nil || health.Sealed {
			return false, nil //nolint:nilerr // see above
		}
		if !health.Standby {
			return true, nil
		}
		leader, err := n.probe.Sys().LeaderWithContext(ctx)
		return err == nil && leader.LeaderAddress != "" && !leader.IsSelf && len(n.server.nodes) > 1, nil
	})
}

// launch starts the process and waits until it answers, still sealed. Another program can open a chosen port before Vault
// does. At the first start, launch then chooses other ports. Later the cluster knows the node by its ports, so launch tries
// the same ones again.
func (n *Node) launch(ctx context.Context, first bool) error {
	if n.Running() {
		return nil
	}
	for attempt := 1; ; attempt++ {
		if first {
			ports, err := freePorts(ctx, 2)
			if err != nil {
				return err
			}
			n.apiPort, n.clusterPort = ports[0], ports[1]
			if err := n.prepare(); err != nil {
				return err
			}
		}
		p, err := n.launchOnce(ctx)
		if err == nil {
			return nil
		}
		taken := false
		if p != nil {
			taken = portTaken(p.output())
			err = errors.Join(err, p.stop())
		}
		switch {
		case taken && attempt < launchAttempts:
		case taken:
			return fmt.Errorf("%w\nanother program uses a port of %s: stop it (`ss -ltnp` names it) and try again", err, n.name)
		default:
			return err
		}
	}
}

// launchOnce starts the process once. It returns the process even when that does not answer.
func (n *Node) launchOnce(ctx context.Context) (*process, error) {
	env := append(environWithoutVault(),
		// The sockets of killed plugins remain. Close deletes this directory.
		"TMPDIR="+n.server.socketDir,
		"VAULT_PLUGIN_TMPDIR="+n.server.socketDir,
		AllowLoopback,
	)
	env = append(env, n.server.options.Env...)
	p, err := startProcess("Vault "+n.name, n.LogPath(), env, n.server.options.VaultBinary, "server", "-config="+n.configPath())
	if err != nil {
		return nil, err
	}
	n.latest.Store(p)
	ctx, cancel := context.WithTimeout(ctx, nodeDeadline)
	defer cancel()
	err = p.await(ctx, "its API", func(ctx context.Context) (bool, error) {
		// An answer alone proves nothing, since another program may use the port. So Vault must have logged that it listens.
		if !strings.Contains(p.output(), "Vault server started!") {
			return false, nil
		}
		_, err := n.probe.Sys().SealStatusWithContext(ctx)
		return err == nil, nil
	})
	return p, err
}

func (n *Node) configPath() string { return filepath.Join(n.dir, "vault.hcl") }

// prepare makes the node's directories, configuration, plugin copy and clients.
func (n *Node) prepare() error {
	for _, dir := range []string{n.dir, n.StorageDir(), n.pluginDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("%s: make its directories: %w", n.name, err)
		}
	}
	if err := os.WriteFile(n.configPath(), []byte(n.config()), 0o600); err != nil {
		return fmt.Errorf("%s: write its configuration: %w", n.name, err)
	}
	if !n.server.options.WithoutPlugin {
		if err := copyExecutable(n.server.options.PluginBinary, n.PluginPath()); err != nil {
			return fmt.Errorf("%s: copy the plugin: %w", n.name, err)
		}
	}
	var err error
	if n.client, err = newClient(n.Address()); err != nil {
		return err
	}
	if n.probe, err = newClient(n.Address()); err != nil {
		return err
	}
	n.client.SetToken(n.server.rootToken)
	n.probe.SetMaxRetries(0)
	return nil
}

// config returns the node's configuration. Go and HCL quote strings alike, except strings that contain "${".
func (n *Node) config() string {
	return fmt.Sprintf(`# A Vault server for development: loopback only, no TLS, unsealed by the program that started it.
disable_mlock    = true
# Lets the tests search the storage for secrets.
raw_storage_endpoint = true
ui               = false
log_level        = %q
api_addr         = %q
cluster_addr     = "https://127.0.0.1:%d"
plugin_directory = %q

listener "tcp" {
  address         = "127.0.0.1:%d"
  cluster_address = "127.0.0.1:%d"
  tls_disable     = true
}

storage "raft" {
  path    = %q
  node_id = %q
  # The shortest election timeouts, and a short wait for a new node's vote: a start and a failover take seconds.
  performance_multiplier       = 1
  autopilot_reconcile_interval = "1s"
  autopilot_update_interval    = "500ms"
}
`, n.server.options.LogLevel, n.Address(), n.clusterPort, n.pluginDir(), n.apiPort, n.clusterPort, n.StorageDir(), n.name)
}

// newClient returns a client for the server at address. It ignores the environment variables that name other servers.
func newClient(address string) (*api.Client, error) {
	config := api.DefaultConfig()
	if config.Error != nil {
		return nil, fmt.Errorf("make a Vault client: %w (check the VAULT_ variables of the environment)", config.Error)
	}
	config.Address, config.AgentAddress = address, ""
	if transport, ok := config.HttpClient.Transport.(*http.Transport); ok {
		transport.Proxy = nil
	}
	client, err := api.NewClient(config)
	if err != nil {
		return nil, fmt.Errorf("make a Vault client: %w", err)
	}
	client.ClearNamespace()
	client.ClearToken()
	return client, nil
}
