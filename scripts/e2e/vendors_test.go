package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// forEachVendor runs a test for every vendor, with a new mount and reset emulators.
func forEachVendor(t *testing.T, test func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor)) {
	t.Helper()
	for _, vendor := range vendorfacts.All() {
		t.Run(vendor.Name, func(t *testing.T) {
			client, mountPath := reset(t)
			write(t, client, mountPath+"/config/main", configFields(t, vendor.Name))
			test(t, client, mountPath, vendor)
		})
	}
}

// roleFields returns the fields of a role of the config main, with further ones.
func roleFields(vendor vendorfacts.Vendor, further map[string]any) map[string]any {
	role := map[string]any{"config": "main"}
	maps.Copy(role, vendor.Role)
	maps.Copy(role, further)
	return role
}

// vendorClient returns a client that trusts the emulator's CA.
func vendorClient(t *testing.T) *http.Client {
	t.Helper()
	return vendorClientOn(t, server)
}

// vendorClientOn is vendorClient for the emulators of another server.
func vendorClientOn(t *testing.T, s *devserver.Server) *http.Client {
	t.Helper()
	ca, err := s.Emulator().CACert()
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM([]byte(ca)))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// use uses a credential at its vendor, as an application does, and returns the vendor's verdict.
func use(t *testing.T, vendor vendorfacts.Vendor, credential map[string]any) vendorfacts.Verdict {
	t.Helper()
	verdict, err := vendor.Use(t.Context(), vendorClient(t), credential)
	require.NoError(t, err)
	return verdict
}

// accepted reports whether the vendor accepts a credential.
func accepted(t *testing.T, vendor vendorfacts.Vendor, credential map[string]any) bool {
	t.Helper()
	return use(t, vendor, credential) == vendorfacts.Accepted
}

// requireAccepted fails unless the vendor accepts the credential.
func requireAccepted(t *testing.T, vendor vendorfacts.Vendor, credential map[string]any, message ...any) {
	t.Helper()
	require.Equal(t, vendorfacts.Accepted, use(t, vendor, credential), message...)
}

// requireRefused fails unless the vendor refuses the credential.
func requireRefused(t *testing.T, vendor vendorfacts.Vendor, credential map[string]any, message ...any) {
	t.Helper()
	require.Equal(t, vendorfacts.Refused, use(t, vendor, credential), message...)
}

// endAtVendor ends a credential at its vendor without the engine's knowledge.
func endAtVendor(t *testing.T, vendor vendorfacts.Vendor, credential map[string]any) {
	t.Helper()
	action := vendor.EndAction
	require.NotNil(t, action, "%s: the table of vendor facts has no action that ends a credential", vendor.Name)
	_, err := server.Control().Act(t.Context(), vendor.Name, action.Name, action.Arguments(credential))
	require.NoError(t, err)
	require.Contains(t, endReasons(t, vendor.Name), action.EndedBy)
}

func TestVendors_EveryRegistered_IsEmulatedAndTested(t *testing.T) {
	client, mountPath := reset(t)
	require.ElementsMatch(t, read(t, client, mountPath+"/info").Data["vendors"], vendorfacts.Names())
	require.ElementsMatch(t, slices.Collect(maps.Keys(server.Emulator().Vendors)), vendorfacts.Names())
	for _, vendor := range vendorfacts.All() {
		require.Equal(t, vendor.Renewable(), vendor.EndAction != nil, "%s: the renewal tests end credentials at the vendor", vendor.Name)
	}
}
