package providertest

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Acceptance proves the main sentences of the contract at the real product, with what environment variables say. It is
// for the few things that an emulated twin cannot prove, and leaves nothing behind that the vendor can revoke.
type Acceptance struct {
	// New makes the provider.
	New func() provider.Provider
	// Config names the variable of each config field that is used, "address" and "ca_cert" (which holds the name of a
	// file) among them. A field whose variable is not set is left out.
	Config map[string]string
	// Role names the variable of each role field that is used, in the same way. Optional.
	Role map[string]string
	// Lifetime is what credentials are asked for, where the vendor grants as much. A minute when zero.
	Lifetime time.Duration
}

// Run checks the root credential, and issues, renews and ends credentials as far as the vendor's capabilities go. The
// test is skipped unless VENDORAUTH_ACC is 1.
func (a Acceptance) Run(t *testing.T) {
	vendor := a.New()
	if os.Getenv("VENDORAUTH_ACC") != "1" {
		t.Skipf("needs the real product: set VENDORAUTH_ACC=1 and the variables in docs/vendors/%s.md", vendor.Name())
	}
	connection := a.open(t, vendor)
	defer func() { require.NoError(t, connection.Logout(t.Context())) }()
	checked, err := connection.Check(t.Context())
	require.NoError(t, err)
	t.Logf("%+v", *checked)

	capabilities := vendor.Capabilities()
	request := provider.IssueRequest{
		Marker: "va-acceptance-" + strings.ToLower(rand.Text()), Lifetime: max(a.Lifetime, time.Minute), Description: "acceptance test",
		Role: &framework.FieldData{Raw: set(a.Role), Schema: vendor.RoleFields()},
	}
	if longest := connection.MaxLifetime(); longest > 0 {
		request.Lifetime = min(request.Lifetime, longest)
	}
	t.Run("by handle", func(t *testing.T) { proveHandle(t, connection, capabilities, request) })
	if capabilities.Marker != "" {
		request.Marker += "-2"
		t.Run("by marker", func(t *testing.T) { proveMarker(t, connection, capabilities, request) })
	}
}

// open opens a connection to the real product.
func (a Acceptance) open(t *testing.T, vendor provider.Provider) provider.Connection {
	t.Helper()
	fields := set(a.Config)
	config := provider.Config{
		Name: "acceptance", RequestTimeout: 30 * time.Second, MaxRetries: 2, Sessions: &Sessions{}, Clock: provider.SystemClock{},
	}
	config.Address, _ = fields["address"].(string)
	if file, ok := fields["ca_cert"].(string); ok {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		config.CACert = string(content)
	}
	delete(fields, "address")
	delete(fields, "ca_cert")
	config.Fields = &framework.FieldData{Raw: fields, Schema: vendor.ConfigFields()}
	connection, err := vendor.Open(config)
	require.NoError(t, err, "see docs/vendors/%s.md for the variables", vendor.Name())
	return connection
}

// set returns the values of those variables that are set, by the fields that they are named for.
func set(variables map[string]string) map[string]any {
	values := map[string]any{}
	for field, variable := range variables {
		if value := os.Getenv(variable); value != "" {
			values[field] = value
		}
	}
	return values
}

// proveHandle renews a credential and revokes it twice: then it is gone.
func proveHandle(t *testing.T, connection provider.Connection, capabilities provider.Capabilities, request provider.IssueRequest) {
	if marked, ok := connection.(provider.MarkerRevoker); ok { // nothing is left, whatever fails
		defer func() { require.NoError(t, marked.RevokeMarker(t.Context(), request.Marker)) }()
	}
	credential := requireIssued(t, connection, capabilities, request)
	switch capabilities.Renewal {
	case provider.RenewalExtends:
		end, err := connection.(provider.Renewer).Renew(t.Context(), credential.Handle, 2*request.Lifetime)
		require.NoError(t, err)
		require.True(t, end.After(credential.ExpiresAt), "%s", end)
	case provider.RenewalWithinLife:
		end, err := connection.(provider.Renewer).Renew(t.Context(), credential.Handle, request.Lifetime)
		require.NoError(t, err)
		require.True(t, end.Equal(credential.ExpiresAt), "%s", end)
	}
	if optional, ok := connection.(provider.ConditionalRevoker); !capabilities.Revokes || ok && !optional.CanRevoke() {
		return
	}
	for range 2 { // the second finds it gone
		require.NoError(t, connection.(provider.Revoker).Revoke(t.Context(), credential.Handle))
	}
	requireGone(t, connection, credential)
}

// proveMarker revokes a credential twice by its marker: then it is gone.
func proveMarker(t *testing.T, connection provider.Connection, capabilities provider.Capabilities, request provider.IssueRequest) {
	credential := requireIssued(t, connection, capabilities, request)
	for range 2 { // the second finds none
		require.NoError(t, connection.(provider.MarkerRevoker).RevokeMarker(t.Context(), request.Marker))
	}
	requireGone(t, connection, credential)
}

// requireIssued issues a credential, which is alive and, where that can be asked for, lives no longer than it should.
func requireIssued(t *testing.T, connection provider.Connection, capabilities provider.Capabilities, request provider.IssueRequest) *provider.Credential {
	t.Helper()
	credential, err := connection.Issue(t.Context(), request)
	require.NoError(t, err)
	t.Logf("lives until %s, warnings %q", credential.ExpiresAt, credential.Warnings)
	left := time.Until(credential.ExpiresAt)
	require.Positive(t, left)
	if capabilities.Renewal != provider.RenewalExtends && !capabilities.LifetimeByVendor {
		require.LessOrEqual(t, left, request.Lifetime)
	}
	return credential
}

// requireGone demands that a credential cannot be renewed, where others can be.
func requireGone(t *testing.T, connection provider.Connection, credential *provider.Credential) {
	t.Helper()
	if renewer, ok := connection.(provider.Renewer); ok {
		_, err := renewer.Renew(t.Context(), credential.Handle, time.Minute)
		require.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
	}
}
