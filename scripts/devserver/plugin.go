package devserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/vault/api"
)

// enablePlugin registers the plugin with the checksum of the nodes' copies, and enables it at the mount path.
func (s *Server) enablePlugin(ctx context.Context) error {
	sum, err := fileSHA256(s.nodes[0].PluginPath())
	if err != nil {
		return err
	}
	sys := s.nodes[0].client.Sys()
	err = sys.RegisterPluginWithContext(ctx, &api.RegisterPluginInput{
		Name:    PluginName,
		Type:    api.PluginTypeSecrets,
		Command: PluginName,
		SHA256:  sum,
		Env:     []string{AllowLoopback},
	})
	if err != nil {
		return fmt.Errorf("register the plugin: %w", err)
	}
	if err := sys.MountWithContext(ctx, s.options.MountPath, &api.MountInput{Type: PluginName}); err != nil {
		return fmt.Errorf("enable the plugin at %s/: %w (see also Vault's log: %s)", s.options.MountPath, err, s.VaultLog())
	}
	return nil
}

// CopyPlugin copies a plugin's program into a node's plugin directory, and returns the checksum that Vault's catalogue
// needs.
func CopyPlugin(from, to string) (sha256 string, err error) {
	if err := copyExecutable(from, to); err != nil {
		return "", fmt.Errorf("copy the plugin: %w", err)
	}
	return fileSHA256(to)
}

// fileSHA256 returns the checksum that Vault's plugin catalogue needs.
func fileSHA256(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("checksum the plugin: %w", err)
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", fmt.Errorf("checksum the plugin: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// copyExecutable copies a program. Vault runs a copy of the plugin for two reasons: a new build does not change the file with
// the registered checksum, and a process that runs the copy belongs to this server.
func copyExecutable(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700) // #nosec G302 -- a program must be executable
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	_, err = io.Copy(target, source)
	return err
}

// InstallPlugin copies a plugin binary to the plugin directory of every node, under a file name of its own, and returns
// its checksum in hexadecimal. The caller registers it; see [Options.WithoutPlugin].
func (s *Server) InstallPlugin(binary, file string) (sha256 string, err error) {
	for _, n := range s.nodes {
		if err := copyExecutable(binary, filepath.Join(n.pluginDir(), file)); err != nil {
			return "", fmt.Errorf("%s: install %s: %w", n.name, file, err)
		}
	}
	return fileSHA256(filepath.Join(s.nodes[0].pluginDir(), file))
}
