// Command nullengine is a secrets engine that does nothing but lease a constant. The benchmark compares the engine
// with it: what the null engine costs is the price of Vault itself, and of the storage writes and vendor calls
// that an engine of this kind cannot avoid.
package main

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/plugin"
)

func main() {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true})
	if err := serve(logger); err != nil {
		logger.Error("the null engine stops", "error", err)
		os.Exit(1)
	}
}

func serve(logger hclog.Logger) error {
	meta := &api.PluginAPIClientMeta{}
	if err := meta.FlagSet().Parse(os.Args[1:]); err != nil {
		return err
	}
	return plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: factory, TLSProviderFunc: api.VaultPluginTLSProvider(meta.GetTLSConfig()), Logger: logger,
	})
}
