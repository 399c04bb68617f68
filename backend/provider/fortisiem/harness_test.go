package fortisiem_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	emulated "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/fortisiem"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// revokePath is a route of the emulator with the switch revoke_route=yes. The vendor's API does not have it.
const revokePath = "/phoenix/rest/pub/security/oauth/revoke"

// skippingClock is a clock whose waits take no time: each wait moves the clock, for the emulator too.
type skippingClock struct{ *providertest.Clock }

// After moves the clock by d and returns a channel that holds a value already.
func (c skippingClock) After(d time.Duration) <-chan time.Time {
	c.Advance(d)
	return c.Clock.After(0)
}

// appliance is an emulated FortiSIEM.
type appliance struct{ *providertest.Instance }

// newAppliance serves an emulated FortiSIEM until the test ends. switches are alternating names and values.
func newAppliance(t *testing.T, switches ...string) *appliance {
	t.Helper()
	return &appliance{providertest.StartInstance(t, emulated.New(), switches...)}
}

// tryOpen opens a connection with changes to the fields of a valid config.
func (a *appliance) tryOpen(changes map[string]any) (provider.Connection, error) {
	config := a.Config(fortisiem.New(), changes)
	config.Clock = skippingClock{a.Clock}
	return fortisiem.New().Open(config)
}

// openKeeping opens a connection that keeps the token of a check in a session store.
func (a *appliance) openKeeping(store provider.SessionStore, changes map[string]any) provider.Connection {
	a.T.Helper()
	config := a.Config(fortisiem.New(), changes)
	config.Clock, config.Sessions = skippingClock{a.Clock}, store
	connection, err := fortisiem.New().Open(config)
	require.NoError(a.T, err)
	a.T.Cleanup(connection.Close)
	return connection
}

// open is tryOpen for a valid config. The connection is closed at the end of the test.
func (a *appliance) open(changes map[string]any) provider.Connection {
	a.T.Helper()
	connection, err := a.tryOpen(changes)
	require.NoError(a.T, err)
	a.T.Cleanup(connection.Close)
	return connection
}

// hooked opens a connection whose revoke_url is the emulator's route.
func (a *appliance) hooked(changes map[string]any) provider.Connection {
	a.T.Helper()
	fields := map[string]any{"revoke_url": a.Address() + revokePath}
	maps.Copy(fields, changes)
	return a.open(fields)
}

// request is the request for a role with a ttl of ten minutes.
var request = provider.IssueRequest{Marker: "vault-test-reader-1", Lifetime: 10*time.Minute + 15*time.Second}

var refusal = providertest.Refusal

// issue issues a credential.
func (a *appliance) issue(connection provider.Connection) *provider.Credential {
	a.T.Helper()
	credential, err := connection.Issue(a.T.Context(), request)
	require.NoError(a.T, err)
	return credential
}

// refused calls Issue, requires an error, and returns it.
func (a *appliance) refused(connection provider.Connection) *provider.Error {
	a.T.Helper()
	_, err := connection.Issue(a.T.Context(), request)
	return refusal(a.T, err)
}

// statuses returns the statuses of all answers to an operation, in order.
func (a *appliance) statuses(operation string) []int {
	var statuses []int
	for _, seen := range a.Requests("fortisiem") {
		if seen.Operation == operation {
			statuses = append(statuses, seen.Status)
		}
	}
	return statuses
}

// within returns a context with a timeout of d, in the machine's time.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
