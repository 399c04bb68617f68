package providertest

import (
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Instance is an emulated vendor for the tests of its driver, on a clock that drives both sides.
type Instance struct {
	*emulatortest.Server
	Clock *Clock
}

// StartInstance serves a vendor over TLS until the test ends, with switches given as name and value in turn.
func StartInstance(t testing.TB, vendor emulator.Vendor, switches ...string) *Instance {
	t.Helper()
	clock := NewClock()
	twin := &Instance{emulatortest.StartWith(t, emulator.Config{Seed: 1, Now: clock.Now}, vendor), clock}
	twin.Set(switches...)
	return twin
}

// Config returns a configuration named "edge" that works with the driver, with changes to the vendor's own fields.
func (w *Instance) Config(driver provider.Provider, changes map[string]any) provider.Config {
	fields := map[string]any{}
	for name, value := range w.Root() {
		fields[name] = value
	}
	if address := w.AuthAddress(); address != "" {
		fields["auth_address"] = address
	}
	maps.Copy(fields, changes)
	return provider.Config{
		Name: "edge", Address: w.Address(), CACert: string(w.CACertPEM()), RequestTimeout: 10 * time.Second, Clock: w.Clock,
		Fields: &framework.FieldData{Raw: fields, Schema: driver.ConfigFields()},
	}
}
