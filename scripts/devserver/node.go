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
	// nodeDeadline bounds each step of a node's start: to answer at all, and to find a leader.
	nodeDeadline = 60 * time.Second
	// launchAttempts is how often a node is started anew because its port was taken.
	launchAttempts = 5
)

// Node is one Vault server of the cluster.
type Node struct {
	server *Server
	name   string
	dir    string

	apiPort, clusterPort int

	client *api.Client // with the root token
	probe  *api.Client // never retries, for asking whether the server is there

	latest atomic.Pointer[process] // see process
}

// process is the latest run of the server; nil before the first.
func (n *Node) process() *process { return n.latest.Load() }

func newNode(s *Server, i int) *Node {
	name := fmt.Sprintf("node-%d", i)
	return &Node{server: s, name: name, dir: filepath.Join(s.dir, name)}
}

// Address is the URL of the node's API. It stays the same across restarts.
func (n *Node) Address() string { return fmt.Sprintf("http://127.0.0.1:%d", n.apiPort) }

// Client returns a client with the root token for this node; a standby forwards to the active node.
// It is of the caller's own, to change as it likes.
func (n *Node) Client() *api.Client {
	// CloneWithHeaders fails for a client without an address only.
	clone, err := n.client.CloneWithHeaders()
	if err != nil {
		panic("devserver: clone a client: " + err.Error())
	}
	clone.SetToken(n.client.Token())
	return clone
}

// LogPath is the file that the node logs to, and its plugins through it.
func (n *Node) LogPath() string { return filepath.Join(n.dir, "vault.log") }

// StorageDir is where the node keeps its storage.
func (n *Node) StorageDir() string { return filepath.Join(n.dir, "raft") }

// PluginPath is the node's own copy of the plugin binary.
func (n *Node) PluginPath() string { return filepath.Join(n.pluginDir(), PluginName) }

func (n *Node) pluginDir() string { return filepath.Join(n.dir, "plugins") }

// Running tells whether the node's process runs.
func (n *Node) Running() bool {
	p := n.process()
	return p != nil && p.running()
}

// PID is the id of the node's process; 0 before the first start.
func (n *Node) PID() int {
	if p := n.process(); p != nil {
		return p.pid
	}
	return 0
}

// Start starts the node after it was stopped or killed, on the same storage and ports, and unseals it.
func (n *Node) Start(ctx context.Context) error {
	if err := n.launch(ctx, false); err != nil {
		return err
	}
	return n.Unseal(ctx)
}

// Stop ends the node as an operator would; its plugins end with it.
func (n *Node) Stop() error {
	p := n.process()
	if p == nil {
		return nil
	}
	return errors.Join(p.stop(), n.killOrphans())
}

// Kill ends the node and its plugins at once, as a power cut would.
func (n *Node) Kill() error {
	p := n.process()
	if p == nil {
		return nil
	}
	return errors.Join(p.kill(), n.killOrphans())
}

// killOrphans ends the plugins that a killed Vault may have left running. Where they can't be found,
// they are in the group that was killed.
func (n *Node) killOrphans() error {
	pids, err := processesRunning(n.PluginPath())
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return killAll(pids)
}

// PluginProcesses returns the ids of this node's plugin processes. It needs Linux.
func (n *Node) PluginProcesses() ([]int, error) { return processesRunning(n.PluginPath()) }

// KillPlugin ends this node's plugin processes with SIGKILL, waits until they are gone, and returns
// how many there were. It needs Linux.
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
	return len(pids), n.process().await(ctx, "its killed plugins to go", func(context.Context) (bool, error) {
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

// Seal seals the node. Only the active node can be sealed.
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
		// Until it can say, the node answers with errors that mean nothing but "not yet".
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

// launch starts the process and waits until it answers, still sealed. At the first start, ports that
// somebody took between our choosing and Vault's opening them are replaced by others; later the node
// is known to the cluster by its ports, so the same ones are tried until they are free again.
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
			return fmt.Errorf("%w\na port of %s is in use by another program: end it (`ss -ltnp` names it) and try again", err, n.name)
		default:
			return err
		}
	}
}

// launchOnce returns the process, if one was started, even when it did not come up.
func (n *Node) launchOnce(ctx context.Context) (*process, error) {
	env := append(environWithoutVault(),
		// Sockets of plugins that are killed stay behind; there they are removed by Close.
		"TMPDIR="+n.server.socketDir,
		"VAULT_PLUGIN_TMPDIR="+n.server.socketDir,
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
		// An answer alone proves nothing: another program may have the port, and ours be about to
		// fail. So Vault must have said that it listens.
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

// config is the node's configuration. Go's quoting is HCL's, as long as no value holds "${".
func (n *Node) config() string {
	return fmt.Sprintf(`# A Vault for development: loopback only, no TLS, keys in the hands of the program that started it.
disable_mlock    = true
# Lets the tests search what is stored for secrets.
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
  # The shortest election timeouts, and no long wait for a new node's vote: a cluster is whole within
  # seconds, and so is a failover.
  performance_multiplier       = 1
  autopilot_reconcile_interval = "1s"
  autopilot_update_interval    = "500ms"
}
`, n.server.options.LogLevel, n.Address(), n.clusterPort, n.pluginDir(), n.apiPort, n.clusterPort, n.StorageDir(), n.name)
}

// newClient returns a client for the server at address, whatever the environment says about others.
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
