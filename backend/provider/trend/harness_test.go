package trend_test

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	emulatortrend "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// marker is the name of the keys that tests issue.
const marker = "vault-test-reader-1"

// manager is an emulated Deep Security Manager.
type manager struct{ *providertest.Instance }

// newManager serves a manager until the test ends. switches are pairs of name and value.
func newManager(t *testing.T, switches ...string) *manager {
	t.Helper()
	return &manager{providertest.StartInstance(t, emulatortrend.New(), switches...)}
}

// fields is a set of config fields.
type fields = map[string]any

// rootFields returns the fields of a config with the management key.
func (m *manager) rootFields() fields {
	return fields{"api_key": m.Root()["api_key"]}
}

// bootstrapFields returns the fields of a config with a login that creates the management key.
func (m *manager) bootstrapFields(changes fields) fields {
	login := m.Login()
	all := fields{"username": login["username"], "password": login["password"], "bootstrap_role_id": 3}
	maps.Copy(all, changes)
	return all
}

// connection combines all interfaces that this vendor's connections implement.
type connection interface {
	provider.Connection
	provider.Renewer
	provider.Revoker
	provider.MarkerRevoker
	provider.Lister
	provider.Bootstrapper
	provider.RootRotator
}

// open opens a connection with exactly these fields.
func (m *manager) open(raw fields) connection {
	m.T.Helper()
	config := m.Config(trend.New(), nil)
	config.Fields.Raw = raw
	opened, err := trend.New().Open(config)
	require.NoError(m.T, err)
	m.T.Cleanup(opened.Close)
	return opened.(connection)
}

// providerError requires that an error is a *provider.Error, and returns it.
var providerError = providertest.Refusal

// hourRequest requests a key with a lifetime of one hour. changes are role fields; nil removes a field.
func hourRequest(changes fields) provider.IssueRequest {
	role := fields{"role_id": 4}
	maps.Copy(role, changes)
	maps.DeleteFunc(role, func(_ string, value any) bool { return value == nil })
	return provider.IssueRequest{
		Marker: marker, Lifetime: time.Hour, Description: "by Vault",
		Role: &framework.FieldData{Raw: role, Schema: trend.New().RoleFields()},
	}
}

// issue issues a credential with a lifetime of one hour.
func (m *manager) issue(conn provider.Connection) *provider.Credential {
	m.T.Helper()
	credential, err := conn.Issue(m.T.Context(), hourRequest(nil))
	require.NoError(m.T, err)
	return credential
}

// operations returns the operation and the status of each request, in order.
func (m *manager) operations() []string {
	var operations []string
	for _, request := range m.Requests("trend") {
		operations = append(operations, request.Operation+" "+strconv.Itoa(request.Status))
	}
	return operations
}

// errOf is the error of a call that also returns whether it found something.
func errOf(_ bool, err error) error { return err }
