package providertest

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/emulatortest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Instance is a running emulator for the tests of its driver, with a clock for both.
type Instance struct {
	*emulatortest.Server
	Clock *Clock
}

// StartInstance serves an emulator over TLS until the test ends. switches are alternating names and values.
func StartInstance(t testing.TB, vendor emulator.Vendor, switches ...string) *Instance {
	t.Helper()
	clock := NewClock()
	instance := &Instance{emulatortest.StartWith(t, emulator.Config{Seed: 1, Now: clock.Now}, vendor), clock}
	instance.Set(switches...)
	return instance
}

// Loopback are the addresses of the emulators, which a test must allow its driver to send requests to.
func Loopback() provider.AddressRanges {
	return provider.AddressRanges{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// Config returns a valid configuration with the name "edge", and with changes to the vendor's own fields.
func (i *Instance) Config(driver provider.Provider, changes map[string]any) provider.Config {
	fields := map[string]any{}
	for name, value := range i.Root() {
		fields[name] = value
	}
	if address := i.AuthAddress(); address != "" {
		fields["auth_address"] = address
	}
	maps.Copy(fields, changes)
	return provider.Config{
		Name: "edge", Address: i.Address(), CACert: string(i.CACertPEM()), RequestTimeout: 10 * time.Second, Clock: i.Clock,
		AllowAddresses: Loopback(),
		Fields:         &framework.FieldData{Raw: fields, Schema: driver.ConfigFields()},
	}
}
