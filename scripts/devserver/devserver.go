// Package devserver runs a real Vault server with the vendorauth plugin beside the vendor emulator,
// all on loopback and in a temporary directory, for the demo, the end-to-end tests and the benchmark.
//
// Everything that [Start] starts is stopped by [Server.Close], by process id. When the program dies
// without calling it, Linux stops the children (their directory then stays behind). Ports are chosen
// by the kernel, so that any number of servers can run side by side.
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

// Server is a running Vault cluster with the plugin and the emulator. It is safe for concurrent use,
// as far as it makes sense to use a server that is being restarted.
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

// Start starts everything that the options ask for: the emulator, and Vault, which it initialises and
// unseals, and in which it registers the plugin and enables it. When it returns, the mount answers.
// ctx bounds the start only. When something fails, what was started is stopped again, and the error
// says which step it was and what the process in question last logged.
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
		s.logf("the vendor emulator runs (process %d), its control API at %s", s.emulator.pid, s.state.ControlURL)
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

// makeDirs makes the directory of all files, and a second one for the plugins' sockets. The latter
// has a short name of its own, because the path of a Unix socket must not be longer than about 100
// bytes, and a test's directory easily is.
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
	// Vault refuses a plugin directory that is reached by a symbolic link.
	dir, err := filepath.EvalSymlinks(s.dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return fmt.Errorf("find the server's directory: %w", err)
	}
	s.dir = dir
	if !s.ownsDir {
		entries, err := os.ReadDir(s.dir)
		if err != nil {
			return fmt.Errorf("look into the server's directory: %w", err)
		}
		if len(entries) > 0 {
			return fmt.Errorf("the directory %s is not empty: choose another, or none for a temporary one", s.dir)
		}
	}
	if s.socketDir, err = os.MkdirTemp("", "va-"); err != nil {
		return fmt.Errorf("make a directory for the plugins' sockets: %w", err)
	}
	return nil
}

// addNode starts node number i, which founds the cluster or joins it.
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
		if err := hastenVotes(ctx, n); err != nil {
			return err
		}
	}
	s.logf("Vault %s runs (process %d) at %s", n.name, n.process().pid, n.Address())
	return nil
}

// initialise makes the cluster's keys with n, which becomes its first node.
func (s *Server) initialise(ctx context.Context, n *Node) error {
	keys, err := n.client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initialise Vault: %w", err)
	}
	s.rootToken, s.unsealKey = keys.RootToken, keys.KeysB64[0]
	n.client.SetToken(s.rootToken)
	return nil
}

// Client returns a client with the root token, for the first node. It is of the caller's own, to
// change as it likes.
func (s *Server) Client() *api.Client { return s.nodes[0].Client() }

// Nodes returns the Vault nodes, in the order of their start.
func (s *Server) Nodes() []*Node { return append([]*Node(nil), s.nodes...) }

// Active returns the node that is active at the moment, and an error when there is none.
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
	return nil, errors.New("no Vault node runs: start one")
}

// Emulator returns what the emulator wrote about itself.
func (s *Server) Emulator() State { return s.state }

// Control returns a client for the emulator's control API.
func (s *Server) Control() *Control { return NewControl(s.state.ControlURL) }

// MountPath is where the engine is enabled, without slashes at its ends.
func (s *Server) MountPath() string { return s.options.MountPath }

// Dir is the directory of all files.
func (s *Server) Dir() string { return s.dir }

// VaultBinary is the Vault program that the nodes run. It is the command-line client as well.
func (s *Server) VaultBinary() string { return s.options.VaultBinary }

// RootToken is Vault's root token.
func (s *Server) RootToken() string { return s.rootToken }

// UnsealKey is Vault's only key share.
func (s *Server) UnsealKey() string { return s.unsealKey }

// VaultLog is the path of the first node's log, which holds the plugin's log too.
func (s *Server) VaultLog() string { return s.nodes[0].LogPath() }

// EmulatorLog is the path of the emulator's log.
func (s *Server) EmulatorLog() string { return filepath.Join(s.dir, "emulator", "emulator.log") }

// StorageDir is where the first node keeps its storage.
func (s *Server) StorageDir() string { return s.nodes[0].StorageDir() }

// Environ returns the environment for a `vault` command that talks to the first node as root: ours,
// but for all VAULT_ variables of its own.
func (s *Server) Environ() []string {
	return append(environWithoutVault(), "VAULT_ADDR="+s.nodes[0].Address(), "VAULT_TOKEN="+s.rootToken)
}

// RestartVault stops all nodes in order, if they run, starts them again on the same storage and ports,
// and unseals them.
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
	// A cluster elects nobody before most of its nodes are unsealed, so all are unsealed first.
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

// KillVault ends all nodes and their plugins at once, as a power cut would. [Server.RestartVault]
// brings them back.
func (s *Server) KillVault() error {
	var errs []error
	for _, n := range s.nodes {
		errs = append(errs, n.Kill())
	}
	return errors.Join(errs...)
}

// KillPlugin ends the plugin's processes of all nodes with SIGKILL; Vault starts new ones when they
// are needed. It is an error when there were none. It needs Linux.
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
		return errors.New("kill the plugin: no process of it was running")
	}
	return nil
}

// Close stops everything and removes the temporary directories. It may be called more than once. Its
// error tells of processes that had to be killed, or of files that could not be removed.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		var errs []error
		// The followers first: otherwise the leadership moves on for each node that stops.
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
