package devserver

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Options say what [Start] starts. The zero value is one Vault node with the plugin and the emulator
// from the repository's bin directory.
type Options struct {
	// Dir keeps all files: configuration, storage, logs. When it is empty, a temporary directory is
	// made, and removed by Close. A given directory must be empty or absent, and stays.
	Dir string

	// VaultBinary, PluginBinary and EmulatorBinary are the programs to run. What is empty is looked
	// for in the directory bin of the repository around the working directory, where `make` puts it.
	VaultBinary    string
	PluginBinary   string
	EmulatorBinary string

	// EmulatorArgs are further arguments for the emulator, such as "-latency", "100ms".
	EmulatorArgs []string
	// Nodes is the size of the Vault cluster; 0 means 1.
	Nodes int
	// MountPath is where the engine is enabled; "" means "vendorauth".
	MountPath string
	// LogLevel is Vault's, and so the plugin's; "" means "info".
	LogLevel string
	// Env is added to the environment of Vault, which hands its own on to the plugin.
	Env []string
	// Log gets a line for each step of the start; nil means none.
	Log io.Writer

	// WithoutPlugin leaves the plugin catalogue as it is, and enables nothing.
	WithoutPlugin bool
	// WithoutEmulator starts no emulator.
	WithoutEmulator bool
}

// withDefaults fills in what is empty, and checks that the programs are there.
func (o Options) withDefaults() (Options, error) {
	o.Nodes = cmp.Or(o.Nodes, 1)
	o.MountPath = strings.Trim(cmp.Or(o.MountPath, "vendorauth"), "/")
	o.LogLevel = cmp.Or(o.LogLevel, "info")
	programs := []struct {
		path   *string
		name   string
		target string
		needed bool
	}{
		{&o.VaultBinary, "vault", "bin/vault", true},
		{&o.PluginBinary, PluginName, "build", !o.WithoutPlugin},
		{&o.EmulatorBinary, "vendor-emulator", "build", !o.WithoutEmulator},
	}
	for _, p := range programs {
		if !p.needed {
			continue
		}
		if *p.path == "" {
			root, err := repositoryRoot()
			if err != nil {
				return o, fmt.Errorf("find %s: %w", p.name, err)
			}
			*p.path = filepath.Join(root, "bin", p.name)
		}
		if info, err := os.Stat(*p.path); err != nil || info.IsDir() || syscall.Access(*p.path, 1) != nil {
			return o, fmt.Errorf("there is no program %s: run `make %s`", *p.path, p.target)
		}
	}
	return o, nil
}

// repositoryRoot returns the directory of the go.mod around the working directory.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the working directory is not inside the repository: name the binary in the options")
		}
		dir = parent
	}
}

// environWithoutVault is our environment but for the variables that steer Vault, server and client:
// what an operator has set for a real server must not reach this one, nor the other way round.
func environWithoutVault() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "VAULT_") {
			env = append(env, v)
		}
	}
	return env
}
