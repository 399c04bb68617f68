package trend_test

import (
	"errors"
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// marker names the keys that tests issue.
const marker = "vault-test-reader-1"

// manager is an emulated Deep Security Manager on a clock that stands still.
type manager struct {
	*emulator.Server
	t     *testing.T
	clock *providertest.Clock
}

// newManager serves the manager for the length of a test, with switches given as name and value in turn.
func newManager(t *testing.T, switches ...string) *manager {
	t.Helper()
	clock := providertest.NewClock()
	srv, err := emulator.Start(emulator.Config{Seed: 1, Now: clock.Now}, twin.New())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	m := &manager{Server: srv, t: t, clock: clock}
	for i := 0; i < len(switches); i += 2 {
		m.set(switches[i], switches[i+1])
	}
	return m
}

func (m *manager) set(name, value string) {
	m.t.Helper()
	require.NoError(m.t, m.SetSwitch("trend", name, value))
}

func (m *manager) act(name string, arguments map[string]string) map[string]string {
	m.t.Helper()
	result, err := m.Do("trend", name, arguments)
	require.NoError(m.t, err)
	return result
}

func (m *manager) fault(fault emulator.Fault) {
	m.t.Helper()
	fault.Vendor = "trend"
	require.NoError(m.t, m.AddFault(fault))
}

// fields is a set of config fields.
type fields = map[string]any

// root are the fields of a config with the root key.
func (m *manager) root() fields {
	return fields{"api_key": m.State().Vendors["trend"].Credentials["api_key"]}
}

// login are the fields of a config with a login to make a key with.
func (m *manager) login(changes fields) fields {
	given := m.State().Vendors["trend"].Login
	all := fields{"username": given["username"], "password": given["password"], "bootstrap_role_id": 3}
	maps.Copy(all, changes)
	return all
}

// connection has all the interfaces of this vendor's connections.
type connection interface {
	provider.Connection
	provider.Renewer
	provider.Revoker
	provider.MarkerRevoker
	provider.Finder
	provider.Bootstrapper
	provider.RootRotator
}

// open opens a connection with these fields.
func (m *manager) open(raw fields) connection {
	m.t.Helper()
	opened, err := trend.New().Open(provider.Config{
		Name: "dsm", Address: m.URL("trend"), CACert: string(m.CACertPEM()), Clock: m.clock,
		Fields: &framework.FieldData{Raw: raw, Schema: trend.New().ConfigFields()},
	})
	require.NoError(m.t, err)
	m.t.Cleanup(opened.Abandon)
	return opened.(connection)
}

// hour asks for a key of an hour, with role fields on top of a role_id.
func hour(changes fields) provider.IssueRequest {
	role := fields{"role_id": 4}
	maps.Copy(role, changes)
	maps.DeleteFunc(role, func(_ string, value any) bool { return value == nil })
	return provider.IssueRequest{
		Marker: marker, Lifetime: time.Hour, Description: "by Vault",
		Role: &framework.FieldData{Raw: role, Schema: trend.New().RoleFields()},
	}
}

// issue issues a credential.
func (m *manager) issue(conn provider.Connection) *provider.Credential {
	m.t.Helper()
	credential, err := conn.Issue(m.t.Context(), hour(nil))
	require.NoError(m.t, err)
	return credential
}

// leased is what the manager knows of the last key that was leased.
func (m *manager) leased() emulator.Credential {
	m.t.Helper()
	var last *emulator.Credential
	for _, credential := range m.Credentials("trend") {
		if credential.Kind == emulator.KindLeased {
			last = &credential
		}
	}
	require.NotNil(m.t, last)
	return *last
}

// live counts the live keys of a kind.
func (m *manager) live(kind string) int {
	count := 0
	for _, credential := range m.Credentials("trend") {
		if credential.Kind == kind && credential.Live {
			count++
		}
	}
	return count
}

// operations are the operations of all requests, with their statuses, in order.
func (m *manager) operations() []string {
	var operations []string
	for _, request := range m.Requests("trend") {
		operations = append(operations, request.Operation+" "+strconv.Itoa(request.Status))
	}
	return operations
}

// refusal is the error of the contract in err.
func refusal(t *testing.T, err error) *provider.Error {
	t.Helper()
	require.Error(t, err)
	failure, ok := errors.AsType[*provider.Error](err)
	require.True(t, ok, "%v is not an error of the contract", err)
	return failure
}
