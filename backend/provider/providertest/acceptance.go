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

// Acceptance proves the main statements of the contract with the real product, which environment variables describe. It
// is for the few facts that an emulator cannot prove. At its end, no credential remains that the vendor can revoke.
type Acceptance struct {
	// New returns the provider.
	New func() provider.Provider
	// Config is the name of the environment variable for each config field, including "address" and "ca_cert". The
	// latter holds the name of a file. A field is not set if its variable is not set.
	Config map[string]string
	// Role is the name of the environment variable for each role field. Optional.
	Role map[string]string
	// Lifetime is the requested lifetime of the credentials, limited by the vendor's longest. Zero means a minute.
	Lifetime time.Duration
}

// Run checks the root credential, and issues, renews and ends credentials as the vendor's capabilities allow. It skips
// the test unless VENDORAUTH_ACC is 1.
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
	t.Run("probe", func(t *testing.T) { runProbe(t, vendor, connection, request) })
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
	allowed, err := provider.ParseAddressRanges(os.Getenv(provider.AllowAddressesVariable))
	require.NoError(t, err)
	config := provider.Config{
		Name: "acceptance", RequestTimeout: 30 * time.Second, MaxRetries: 2, Sessions: &Sessions{}, Clock: provider.SystemClock{},
		AllowAddresses: allowed,
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

// set returns the values of the environment variables that are set, by field.
func set(variables map[string]string) map[string]any {
	values := map[string]any{}
	for field, variable := range variables {
		if value := os.Getenv(variable); value != "" {
			values[field] = value
		}
	}
	return values
}

// proveHandle renews a credential, revokes it twice by its handle, and requires that it has ended.
func proveHandle(t *testing.T, connection provider.Connection, capabilities provider.Capabilities, request provider.IssueRequest) {
	if marked, ok := connection.(provider.MarkerRevoker); ok { // no credential remains, whatever fails
		defer func() {
			_, err := marked.RevokeMarker(t.Context(), request.Marker)
			require.NoError(t, err)
		}()
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
	for range 2 { // a repeated call succeeds
		require.NoError(t, connection.(provider.Revoker).Revoke(t.Context(), credential.Handle))
	}
	requireGone(t, connection, credential)
}

// proveMarker revokes a credential twice by its marker, and requires that it has ended.
func proveMarker(t *testing.T, connection provider.Connection, capabilities provider.Capabilities, request provider.IssueRequest) {
	credential := requireIssued(t, connection, capabilities, request)
	for range 2 { // a repeated call succeeds
		_, err := connection.(provider.MarkerRevoker).RevokeMarker(t.Context(), request.Marker)
		require.NoError(t, err)
	}
	requireGone(t, connection, credential)
}

// requireIssued issues a credential, and requires that it has not ended and does not live longer than requested.
func requireIssued(t *testing.T, connection provider.Connection, capabilities provider.Capabilities, request provider.IssueRequest) *provider.Credential {
	t.Helper()
	credential, err := connection.Issue(t.Context(), request)
	require.NoError(t, err)
	t.Logf("expires at %s, warnings %q", credential.ExpiresAt, credential.Warnings)
	left := time.Until(credential.ExpiresAt)
	require.Positive(t, left)
	if capabilities.Renewal != provider.RenewalExtends && !capabilities.LifetimeByVendor {
		require.LessOrEqual(t, left, request.Lifetime)
	}
	return credential
}

// requireGone requires that the credential cannot be renewed. It does nothing for a vendor that renews no credentials.
func requireGone(t *testing.T, connection provider.Connection, credential *provider.Credential) {
	t.Helper()
	if renewer, ok := connection.(provider.Renewer); ok {
		_, err := renewer.Renew(t.Context(), credential.Handle, time.Minute)
		require.Equal(t, provider.ClassNotFound, provider.ClassOf(err), "%v", err)
	}
}
