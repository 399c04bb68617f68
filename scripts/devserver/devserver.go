// Package devserver runs a real Vault server with the vendorauth plugin, and the vendor emulator, on loopback and in a
// temporary directory. The demo, the end-to-end tests and the fault tests use it.
//
// [Server.Close] stops, by process id, every process that [Start] started. When the program ends without calling it, Linux
// stops these processes, but their directory stays. The kernel chooses the ports, so that any number of servers can run at
// the same time.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/vault/api"
)

// PluginName is the plugin's name in Vault's catalogue, and the name of its binary.
const PluginName = "vault-plugin-secrets-vendorauth"

// AllowLoopback is the setting of the plugin's environment with which it sends requests to the emulator: by default it
// refuses loopback addresses. Start registers the plugin with it, and gives it to Vault too, whose environment the plugin
// has. A registration of a test needs it only when Vault has another one.
const AllowLoopback = "VENDORAUTH_ALLOW_ADDRESSES=127.0.0.0/8"

// Server is a running Vault cluster with the plugin and the emulator. It is safe for concurrent use, but requests fail
// while a node restarts.
type Server struct {
	options   Options
	dir       string
	socketDir string
	ownsDir   bool

	nodes     []*Node
	rootToken string
	unsealKey string

	emulator *process
	state    State

	closeOnce sync.Once
	closeErr  error
}

// Start starts the emulator and Vault, as the options say. It initialises and unseals Vault, registers the plugin and
// enables it. When it returns, the mount answers. ctx bounds the start only. When a step fails, Start stops every started
// process, and the error names the step and holds the end of the process's log.
func Start(ctx context.Context, options Options) (*Server, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{options: options}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start the development server: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	if !s.options.WithoutEmulator {
		var err error
		if s.emulator, s.state, err = startEmulator(ctx, s.options.EmulatorBinary, filepath.Join(s.dir, "emulator"), s.options.EmulatorArgs); err != nil {
			return err
		}
		s.logf("the vendor emulator runs (process %d); its control API is at %s", s.emulator.pid, s.state.ControlURL)
	}
	for i := range s.options.Nodes {
		if err := s.addNode(ctx, i+1); err != nil {
			return err
		}
	}
	if err := s.awaitVoters(ctx); err != nil {
		return err
	}
	if s.options.WithoutPlugin {
		return nil
	}
	if err := s.enablePlugin(ctx); err != nil {
		return err
	}
	s.logf("the plugin is enabled at %s/", s.options.MountPath)
	return nil
}

// makeDirs makes the directory of all files, and a second one for the sockets of the plugins. The second one has a short
// path, because the path of a Unix socket must not be longer than about 100 bytes, and the path of a test's directory is
// often longer.
func (s *Server) makeDirs() error {
	s.dir = s.options.Dir
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "vendorauth-dev-")
		if err != nil {
			return fmt.Errorf("make a temporary directory: %w", err)
		}
		s.dir, s.ownsDir = dir, true
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	// Vault refuses a plugin directory whose path contains a symbolic link.
	dir, err := filepath.EvalSymlinks(s.dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return fmt.Errorf("resolve the server's directory: %w", err)
	}
	s.dir = dir
	if !s.ownsDir {
		entries, err := os.ReadDir(s.dir)
		if err != nil {
			return fmt.Errorf("read the server's directory: %w", err)
		}
		if len(entries) > 0 {
			return fmt.Errorf("the directory %s is not empty: choose an empty one, or none to get a temporary one", s.dir)
		}
	}
	if s.socketDir, err = os.MkdirTemp("", "va-"); err != nil {
		return fmt.Errorf("make a directory for the plugins' sockets: %w", err)
	}
	return nil
}

// addNode starts node number i. The first node initialises the cluster, and the others join it.
func (s *Server) addNode(ctx context.Context, i int) error {
	n := newNode(s, i)
	s.nodes = append(s.nodes, n)
	if err := n.launch(ctx, true); err != nil {
		return err
	}
	if i == 1 {
		if err := s.initialise(ctx, n); err != nil {
			return err
		}
	} else if err := n.join(ctx, s.nodes[0]); err != nil {
		return err
	}
	if err := n.Unseal(ctx); err != nil {
		return err
	}
	if i == 1 && s.options.Nodes > 1 {
		if err := shortenStabilization(ctx, n); err != nil {
			return err
		}
	}
	s.logf("Vault %s runs (process %d) at %s", n.name, n.process().pid, n.Address())
	return nil
}

// initialise initialises the cluster with n as its first node.
func (s *Server) initialise(ctx context.Context, n *Node) error {
	keys, err := n.client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialise Vault: %w", err)
	}
	s.rootToken, s.unsealKey = keys.RootToken, keys.KeysB64[0]
	n.client.SetToken(s.rootToken)
	return nil
}

// Client returns a new client with the root token, for the first node. The caller may change it.
func (s *Server) Client() *api.Client { return s.nodes[0].Client() }

// Nodes returns the Vault nodes, in the order in which they were added.
func (s *Server) Nodes() []*Node { return append([]*Node(nil), s.nodes...) }

// Active returns the active node, and an error when there is none.
func (s *Server) Active(ctx context.Context) (*Node, error) {
	for _, n := range s.nodes {
		if !n.Running() {
			continue
		}
		if health, err := n.probe.Sys().HealthWithContext(ctx); err == nil && !health.Sealed && !health.Standby {
			return n, nil
		}
	}
	return nil, errors.New("no Vault node is active")
}

// AwaitActive waits until a node is active, as after a failover, and returns it.
func (s *Server) AwaitActive(ctx context.Context) (*Node, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeDeadline)
	defer cancel()
	for _, n := range s.nodes {
		if !n.Running() {
			continue
		}
		var active *Node
		err := n.process().await(ctx, "an active node", func(ctx context.Context) (bool, error) {
			found, err := s.Active(ctx)
			active = found
			return err == nil, nil
		})
		return active, err
	}
	return nil, errors.New("no Vault node is running: start one")
}

// Emulator returns the contents of the emulator's state file.
func (s *Server) Emulator() State { return s.state }

// Control returns a client for the emulator's control API.
func (s *Server) Control() *Control { return NewControl(s.state.ControlURL) }

// MountPath is the path at which the engine is enabled, without slashes at its ends.
func (s *Server) MountPath() string { return s.options.MountPath }

// Dir is the directory of all files.
func (s *Server) Dir() string { return s.dir }

// VaultBinary is the path of the Vault program, which is both server and command-line client.
func (s *Server) VaultBinary() string { return s.options.VaultBinary }

// RootToken is Vault's root token.
func (s *Server) RootToken() string { return s.rootToken }

// UnsealKey is Vault's only key share.
func (s *Server) UnsealKey() string { return s.unsealKey }

// VaultLog is the path of the first node's log, which contains the plugin's log.
func (s *Server) VaultLog() string { return s.nodes[0].LogPath() }

// EmulatorLog is the path of the emulator's log.
func (s *Server) EmulatorLog() string { return filepath.Join(s.dir, "emulator", "emulator.log") }

// EmulatorState is the path of the emulator's state file.
func (s *Server) EmulatorState() string { return filepath.Join(s.dir, "emulator", "state.json") }

// StorageDir is the directory of the first node's storage.
func (s *Server) StorageDir() string { return s.nodes[0].StorageDir() }

// Environ returns the environment for a `vault` command that uses the first node and the root token: the environment of
// this process, with the VAULT_ variables replaced.
func (s *Server) Environ() []string {
	return append(environWithoutVault(), "VAULT_ADDR="+s.nodes[0].Address(), "VAULT_TOKEN="+s.rootToken)
}

// RestartVault stops all running nodes in order, starts all nodes on the same storage and ports, and unseals them.
func (s *Server) RestartVault(ctx context.Context) error {
	for _, n := range s.nodes {
		if err := n.Stop(); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if err := n.launch(ctx, false); err != nil {
			return err
		}
	}
	// A cluster elects no leader before most of its nodes are unsealed, so all are unsealed first.
	for _, n := range s.nodes {
		if err := n.submitKey(ctx); err != nil {
			return err
		}
	}
	for _, n := range s.nodes {
		if err := n.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// KillVault kills all nodes and their plugins, as a power cut does. [Server.RestartVault] starts them again.
func (s *Server) KillVault() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.Kill())
	}
	return errors.Join(errs...)
}

// KillPlugin kills the plugin processes of all nodes; Vault starts new ones for the next requests. It fails when there is
// no plugin process. It needs Linux.
func (s *Server) KillPlugin() error {
	killed := 0
	for _, n := range s.nodes {
		k, err := n.KillPlugin()
		if err != nil {
			return err
		}
		killed += k
	}
	if killed == 0 {
		return errors.New("kill the plugin: no plugin process is running")
	}
	return nil
}

// Close stops all processes and deletes the temporary directories. It may be called more than once. It fails when it had to
// kill a process, or could not delete a file.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		var errs []error
		// The followers first: otherwise the cluster would elect a leader for each node that stops.
		for i := len(s.nodes) - 1; i >= 0; i-- {
			errs = append(errs, s.nodes[i].Stop())
		}
		if s.emulator != nil {
			errs = append(errs, s.emulator.stop())
		}
		if s.socketDir != "" {
			errs = append(errs, os.RemoveAll(s.socketDir))
		}
		if s.ownsDir {
			errs = append(errs, os.RemoveAll(s.dir))
		}
		s.closeErr = errors.Join(errs...)
	})
	return s.closeErr
}

func (s *Server) logf(format string, args ...any) {
	if s.options.Log != nil {
		_, _ = fmt.Fprintf(s.options.Log, format+"\n", args...)
	}
}
