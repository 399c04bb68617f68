package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

const (
	mountPath  = "vendorauth"
	nullMount  = "null"
	nullPlugin = "nullengine"
	// setupTimeout bounds the preparation, which takes seconds.
	setupTimeout = 3 * time.Minute
)

// switches make the emulators grant as many credentials as the benchmark asks for. Their limits are the vendors', and
// would be measured instead of the engine.
var switches = []devserver.Switch{
	{Vendor: "ftd", Name: "session_limit", Value: "1000000"},
	{Vendor: "ftd", Name: "custom_tokens_in_sessions", Value: "no"},
	{Vendor: "ftd", Name: "custom_tokens_count", Value: "no"},
	{Vendor: "fortianalyzer", Name: "login_max", Value: "1000000"},
	{Vendor: "fortianalyzer", Name: "rate_limit_per_minute", Value: "1000000"},
	{Vendor: "fortisiem", Name: "token_interval", Value: "0"},
	{Vendor: "lacework", Name: "rate_limit", Value: "1000000"},
	{Vendor: "trend", Name: "rate_limit", Value: "1000000"},
	{Vendor: "trend", Name: "tenant_rate_limit", Value: "1000000"},
}

// server is the running Vault with both engines, and the emulators.
type server struct {
	*devserver.Server
	root  *api.Client
	state devserver.State
}

// startServer starts everything and writes the configs and roles. dir is where the storage lies; empty means a
// temporary directory on the disk.
func startServer(ctx context.Context, dir string, log io.Writer) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	started, err := devserver.Start(ctx, devserver.Options{
		Dir: dir, MountPath: mountPath, LogLevel: "error", Log: log,
		Env: []string{"VENDORAUTH_ALLOW_ADDRESSES=127.0.0.0/8"},
	})
	if err != nil {
		return nil, err
	}
	s := &server{Server: started, root: started.Client(), state: started.Emulator()}
	for _, step := range []func(context.Context) error{s.setSwitches, s.enableNullEngine, s.writeVendors} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, started.Close())
		}
	}
	return s, nil
}

func (s *server) setSwitches(ctx context.Context) error {
	for _, setting := range switches {
		if err := s.Control().SetSwitch(ctx, setting.Vendor, setting.Name, setting.Value); err != nil {
			return fmt.Errorf("set switch %s of %s: %w", setting.Name, setting.Vendor, err)
		}
	}
	return nil
}

// enableNullEngine registers the null engine, and makes it call the vendor whose API issues a credential with one
// request.
func (s *server) enableNullEngine(ctx context.Context) error {
	node := s.Nodes()[0]
	binary := filepath.Join(filepath.Dir(s.VaultBinary()), nullPlugin)
	checksum, err := devserver.CopyPlugin(binary, filepath.Join(filepath.Dir(node.PluginPath()), nullPlugin))
	if err != nil {
		return fmt.Errorf("%w: run `make bin/nullengine`", err)
	}
	err = s.root.Sys().RegisterPluginWithContext(ctx, &api.RegisterPluginInput{
		Name: nullPlugin, Type: api.PluginTypeSecrets, Command: nullPlugin, SHA256: checksum,
	})
	if err != nil {
		return fmt.Errorf("register the null engine: %w", err)
	}
	if err := s.root.Sys().MountWithContext(ctx, nullMount, &api.MountInput{Type: nullPlugin}); err != nil {
		return fmt.Errorf("enable the null engine: %w", err)
	}
	ca, err := s.state.CACert()
	if err != nil {
		return err
	}
	lacework := s.state.Vendors[baselineVendor]
	_, err = s.root.Logical().WriteWithContext(ctx, nullMount+"/config", map[string]any{
		"url": lacework.URL + "/api/v2/access/tokens", "ca_cert": ca,
		"header": map[string]any{"X-LW-UAKS": lacework.Credentials["secret_key"], "Content-Type": "application/json"},
		"body":   fmt.Sprintf(`{"keyId":%q,"expiryTime":3600}`, lacework.Credentials["key_id"]),
	})
	return err
}

// writeVendors writes a config, and an exclusive and a shared role, for each vendor.
func (s *server) writeVendors(ctx context.Context) error {
	for _, facts := range vendorfacts.All() {
		if err := s.writeConfig(ctx, facts, facts.Name, nil); err != nil {
			return err
		}
		for _, shared := range []bool{false, true} {
			path := mountPath + "/roles/" + roleName(facts.Name, shared)
			if _, err := s.root.Logical().WriteWithContext(ctx, path, roleFields(facts, shared)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeConfig writes a vendor's config without a limit.
func (s *server) writeConfig(ctx context.Context, facts vendorfacts.Vendor, name string, more map[string]any) error {
	fields, err := s.state.ConfigFields(facts.Name)
	if err != nil {
		return err
	}
	fields["max_credentials"], fields["requests_per_minute"] = 0, 0
	maps.Copy(fields, more)
	_, err = s.root.Logical().WriteWithContext(ctx, mountPath+"/config/"+name, fields)
	return err
}

// delayVendor makes every answer of a vendor slow; zero ends that.
func (s *server) delayVendor(ctx context.Context, vendor string, delay time.Duration) error {
	if delay == 0 {
		return s.Control().ClearFaults(ctx, vendor)
	}
	return s.Control().AddFault(ctx, devserver.Fault{Vendor: vendor, Route: "*", Delay: delay})
}

// processes returns the ids of Vault and of the plugin that serves a scenario.
func (s *server) processes(engine bool) ([]int, error) {
	node := s.Nodes()[0]
	path := node.PluginPath()
	if !engine {
		path = filepath.Join(filepath.Dir(path), nullPlugin)
	}
	plugins, err := processesOf(path)
	if err != nil {
		return nil, err
	}
	if len(plugins) == 0 {
		return nil, fmt.Errorf("no process runs %s", path)
	}
	return append(plugins, node.PID()), nil
}

// vendorCalls returns how many requests a vendor has received; 0 for none.
func (s *server) vendorCalls(ctx context.Context, vendor string) (int, error) {
	if vendor == "" {
		return 0, nil
	}
	return s.Control().RequestCount(ctx, vendor)
}
