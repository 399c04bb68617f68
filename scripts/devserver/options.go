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

// Options configure [Start]. The zero value is one Vault node with the plugin and the emulator from the repository's
// directory bin.
type Options struct {
	// Dir is the directory of all files: configuration, storage, logs. It must be empty or absent, and Close keeps it. ""
	// means a temporary directory, which Close deletes.
	Dir string

	// VaultBinary, PluginBinary and EmulatorBinary are the paths of the programs. "" means the program that `make` has built
	// into the directory bin of the repository that contains the working directory.
	VaultBinary    string
	PluginBinary   string
	EmulatorBinary string

	// EmulatorArgs are further arguments for the emulator, such as "-latency", "100ms".
	EmulatorArgs []string
	// Nodes is the size of the Vault cluster; 0 means 1.
	Nodes int
	// MountPath is the path at which the engine is enabled; "" means "vendorauth".
	MountPath string
	// LogLevel is the log level of Vault and the plugin; "" means "info".
	LogLevel string
	// Env is added to the environment of Vault, and so of the plugin, after AllowLoopback.
	Env []string
	// Log receives a line for each step of the start; nil means none.
	Log io.Writer

	// WithoutPlugin neither registers nor enables the plugin.
	WithoutPlugin bool
	// WithoutEmulator starts no emulator.
	WithoutEmulator bool
}

// withDefaults returns the options with their defaults, and fails when a program does not exist.
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

// repositoryRoot returns the closest directory with a go.mod that contains the working directory.
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

// environWithoutVault returns the environment of this process without the variables of Vault's server and client: values
// that an operator has set for a real server must not configure this one.
func environWithoutVault() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "VAULT_") {
			env = append(env, v)
		}
	}
	return env
}
