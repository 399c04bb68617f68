package fortisiem_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// revokePath is served by the emulator under the switch revoke_route only. It is no API of the vendor's.
const revokePath = "/phoenix/rest/pub/security/oauth/revoke"

// hastyClock is a clock on which waiting takes no time: whoever waits moves it, for the emulator too.
type hastyClock struct{ *providertest.Clock }

// After moves the clock and returns a channel that has received already.
func (c hastyClock) After(d time.Duration) <-chan time.Time {
	c.Advance(d)
	return c.Clock.After(0)
}

// appliance is an emulated FortiSIEM and a connection to it.
type appliance struct {
	t     *testing.T
	srv   *emulator.Server
	clock *providertest.Clock
}

// newAppliance serves FortiSIEM for the length of a test, with switches given as name and value in turn.
func newAppliance(t *testing.T, switches ...string) *appliance {
	t.Helper()
	clock := providertest.NewClock()
	srv, err := emulator.Start(emulator.Config{Seed: 1, Now: clock.Now}, twin.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	a := &appliance{t: t, srv: srv, clock: clock}
	for i := 0; i < len(switches); i += 2 {
		a.set(switches[i], switches[i+1])
	}
	return a
}

func (a *appliance) set(name, value string) {
	a.t.Helper()
	require.NoError(a.t, a.srv.SetSwitch("fortisiem", name, value))
}

func (a *appliance) act(name string) map[string]string {
	a.t.Helper()
	result, err := a.srv.Do("fortisiem", name, nil)
	require.NoError(a.t, err)
	return result
}

func (a *appliance) fault(fault emulator.Fault) {
	a.t.Helper()
	fault.Vendor = "fortisiem"
	require.NoError(a.t, a.srv.AddFault(fault))
}

// tryOpen opens a connection with changes to the fields of a config that works.
func (a *appliance) tryOpen(changes map[string]any) (provider.Connection, error) {
	a.t.Helper()
	fields := map[string]any{}
	for name, value := range a.srv.State().Vendors["fortisiem"].Credentials {
		fields[name] = value
	}
	maps.Copy(fields, changes)
	return fortisiem.New().Open(provider.Config{
		Name:    "siem",
		Address: a.srv.URL("fortisiem"),
		CACert:  string(a.srv.CACertPEM()),
		Fields:  &framework.FieldData{Raw: fields, Schema: fortisiem.New().ConfigFields()},
		Clock:   hastyClock{a.clock},
	})
}

// open is tryOpen for a connection that has to open.
func (a *appliance) open(changes map[string]any) provider.Connection {
	a.t.Helper()
	connection, err := a.tryOpen(changes)
	require.NoError(a.t, err)
	a.t.Cleanup(connection.Abandon)
	return connection
}

// hooked opens a connection that revokes by the emulator's route.
func (a *appliance) hooked(changes map[string]any) provider.Connection {
	a.t.Helper()
	fields := map[string]any{"revoke_url": a.srv.URL("fortisiem") + revokePath}
	maps.Copy(fields, changes)
	return a.open(fields)
}

// request asks for what a role with a ttl of ten minutes asks for.
var request = provider.IssueRequest{Marker: "vault-test-reader-1", Lifetime: 10*time.Minute + 15*time.Second}

// issue issues a credential.
func (a *appliance) issue(connection provider.Connection) *provider.Credential {
	a.t.Helper()
	credential, err := connection.Issue(a.t.Context(), request)
	require.NoError(a.t, err)
	return credential
}

// refused issues, which has to fail.
func (a *appliance) refused(connection provider.Connection) *provider.Error {
	a.t.Helper()
	_, err := connection.Issue(a.t.Context(), request)
	return refusal(a.t, err)
}

// refusal is the error of the contract in err.
func refusal(t *testing.T, err error) *provider.Error {
	t.Helper()
	require.Error(t, err)
	failure, ok := errors.AsType[*provider.Error](err)
	require.True(t, ok, "%v is not an error of the contract", err)
	return failure
}

// statuses are the answers to all requests of an operation, in order.
func (a *appliance) statuses(operation string) []int {
	var statuses []int
	for _, seen := range a.srv.Requests("fortisiem") {
		if seen.Operation == operation {
			statuses = append(statuses, seen.Status)
		}
	}
	return statuses
}

// live counts the tokens that work.
func (a *appliance) live() int {
	count := 0
	for _, credential := range a.srv.Credentials("fortisiem") {
		if credential.Live {
			count++
		}
	}
	return count
}

// within returns a context with that much of the machine's time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
