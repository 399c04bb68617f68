package fortisiem_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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

// appliance is an emulated FortiSIEM.
type appliance struct{ *providertest.Instance }

// newAppliance serves FortiSIEM for the length of a test, with switches given as name and value in turn.
func newAppliance(t *testing.T, switches ...string) *appliance {
	t.Helper()
	return &appliance{providertest.StartInstance(t, twin.New(), switches...)}
}

// tryOpen opens a connection with changes to the fields of a config that works.
func (a *appliance) tryOpen(changes map[string]any) (provider.Connection, error) {
	config := a.Config(fortisiem.New(), changes)
	config.Clock = hastyClock{a.Clock}
	return fortisiem.New().Open(config)
}

// open is tryOpen for a connection that has to open.
func (a *appliance) open(changes map[string]any) provider.Connection {
	a.T.Helper()
	connection, err := a.tryOpen(changes)
	require.NoError(a.T, err)
	a.T.Cleanup(connection.Close)
	return connection
}

// hooked opens a connection that revokes by the emulator's route.
func (a *appliance) hooked(changes map[string]any) provider.Connection {
	a.T.Helper()
	fields := map[string]any{"revoke_url": a.Address() + revokePath}
	maps.Copy(fields, changes)
	return a.open(fields)
}

// request asks for what a role with a ttl of ten minutes asks for.
var request = provider.IssueRequest{Marker: "vault-test-reader-1", Lifetime: 10*time.Minute + 15*time.Second}

var refusal = providertest.Refusal

// issue issues a credential.
func (a *appliance) issue(connection provider.Connection) *provider.Credential {
	a.T.Helper()
	credential, err := connection.Issue(a.T.Context(), request)
	require.NoError(a.T, err)
	return credential
}

// refused issues, which has to fail.
func (a *appliance) refused(connection provider.Connection) *provider.Error {
	a.T.Helper()
	_, err := connection.Issue(a.T.Context(), request)
	return refusal(a.T, err)
}

// statuses are the answers to all requests of an operation, in order.
func (a *appliance) statuses(operation string) []int {
	var statuses []int
	for _, seen := range a.Requests("fortisiem") {
		if seen.Operation == operation {
			statuses = append(statuses, seen.Status)
		}
	}
	return statuses
}

// within returns a context with that much of the machine's time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
