package trend_test

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	twin "github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/trend"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/trend"
)

// marker names the keys that tests issue.
const marker = "vault-test-reader-1"

// manager is an emulated Deep Security Manager.
type manager struct{ *providertest.Instance }

// newManager serves the manager for the length of a test, with switches given as name and value in turn.
func newManager(t *testing.T, switches ...string) *manager {
	t.Helper()
	return &manager{providertest.StartInstance(t, twin.New(), switches...)}
}

// fields is a set of config fields.
type fields = map[string]any

// rootKey are the fields of a config with the root key.
func (m *manager) rootKey() fields {
	return fields{"api_key": m.Root()["api_key"]}
}

// login are the fields of a config with a login to make a key with.
func (m *manager) login(changes fields) fields {
	given := m.Login()
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
	provider.Lister
	provider.Bootstrapper
	provider.RootRotator
}

// open opens a connection with these fields and no others.
func (m *manager) open(raw fields) connection {
	m.T.Helper()
	config := m.Config(trend.New(), nil)
	config.Fields.Raw = raw
	opened, err := trend.New().Open(config)
	require.NoError(m.T, err)
	m.T.Cleanup(opened.Close)
	return opened.(connection)
}

var refusal = providertest.Refusal

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
	m.T.Helper()
	credential, err := conn.Issue(m.T.Context(), hour(nil))
	require.NoError(m.T, err)
	return credential
}

// answered are the operations of all requests, with their statuses, in order.
func (m *manager) answered() []string {
	var operations []string
	for _, request := range m.Requests("trend") {
		operations = append(operations, request.Operation+" "+strconv.Itoa(request.Status))
	}
	return operations
}
