package backend

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// otherCA returns a certificate that has signed no emulator's.
func otherCA(t testing.TB) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// renewCertificate makes a config trust another certificate than the device has, as after the device's certificate was
// replaced.
func (m *mount) renewCertificate(config string) {
	m.t.Helper()
	stale := m.config(config).WithTrust(otherCA(m.t), "")
	m.putConfig(config, stale)
	m.backend.pool.Detach(config)
}

// trust changes the trust of a config to the emulators' CA.
func (m *mount) trust(config string) *logical.Response {
	m.t.Helper()
	return m.must(logical.UpdateOperation, "trust/"+config, map[string]any{"ca_cert": string(m.vendors.CACertPEM())})
}

// forVendors runs a test for each vendor, with a config and a role.
func forVendors(t *testing.T, role map[string]any, run func(*testing.T, *mount, string)) {
	t.Helper()
	for _, vendor := range registry() {
		t.Run(vendor.Name(), func(t *testing.T) {
			m := newMount(t)
			m.clock.passWaits() // FortiSIEM serves a token request only every five seconds
			m.configure(vendor.Name(), roleData(vendor.Name(), role))
			run(t, m, vendor.Name())
		})
	}
}

func TestTrustUpdate_CertificateRenewed_NeedsNoSecret(t *testing.T) {
	forVendors(t, nil, func(t *testing.T, m *mount, vendor string) {
		sent := m.watchEvents()
		before := m.config(vendor)
		m.renewCertificate(vendor)
		m.rejected(http.StatusBadRequest, logical.ReadOperation, "creds/"+vendor, nil, "ca_cert")

		m.trust(vendor)
		after := m.config(vendor)
		require.Equal(t, string(m.vendors.CACertPEM()), after.CACert)
		require.Equal(t, before.Fields, after.Fields)
		require.Equal(t, before.Address, after.Address)
		require.Equal(t, before.UID, after.UID)
		require.Contains(t, sent.kinds, eventTrustUpdate)
		require.NoError(t, m.readAndRevoke(vendor))
	})
}

func TestTrustUpdate_LiveLeases_StaySharedAndLive(t *testing.T) {
	forVendors(t, sharedRole, func(t *testing.T, m *mount, vendor string) {
		first := m.read(vendor)
		logins := len(m.logins(vendor))
		m.must(logical.UpdateOperation, "trust/"+vendor, map[string]any{
			"ca_cert": otherCA(t) + string(m.vendors.CACertPEM()), "tls_server_name": "localhost",
		})
		second := m.read(vendor)
		require.Equal(t, first.data["token"], second.data["token"], "readers share one credential")
		require.Len(t, m.ledgerOf(vendor), 1)
		require.LessOrEqual(t, len(m.logins(vendor)), max(logins, 1), "the previous login has ended")
		if first.secret.Renewable {
			_, err := m.renew(first, 0)
			require.NoError(t, err)
		}
		require.NoError(t, m.revoke(first))
		require.NoError(t, m.revoke(second))
	})
}

func TestTrustUpdate_WrongTrust_StoresNothing(t *testing.T) {
	forVendors(t, nil, func(t *testing.T, m *mount, vendor string) {
		before := m.config(vendor)
		sent := m.watchEvents()
		for field, value := range map[string]string{"ca_cert": otherCA(t), "tls_server_name": "other.example"} {
			m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/"+vendor, map[string]any{field: value}, "keeps its trust", field)
		}
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/"+vendor, map[string]any{"ca_cert": "nonsense"}, `"ca_cert"`)
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/"+vendor, map[string]any{"ca_cert": ""}, "ca_cert")
		require.Equal(t, before, m.config(vendor))
		require.NoError(t, m.readAndRevoke(vendor))
		require.Equal(t, []string{eventTrustUpdateFail, eventTrustUpdateFail, eventTrustUpdateFail, eventTrustUpdateFail}, sent.kinds)
	})
}

// A login that the vendor rejects proves nothing about the server.
func TestTrustUpdate_RootRejected_StoresNothing(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.renewCertificate("ftd")
	before := m.config("ftd")
	m.changePassword("An0ther-password")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/ftd", map[string]any{"ca_cert": string(m.vendors.CACertPEM())}, "password")
	require.Equal(t, before, m.config("ftd"))
}

// Another spelling of the same certificates is no change: neither a login nor an event.
func TestTrustUpdate_OtherSpelling_MakesNoLogin(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	sent := m.watchEvents()
	before, requests := m.config("ftd"), len(m.vendors.Requests("ftd"))
	spelled := "the device's CA\n" + strings.ReplaceAll(string(m.vendors.CACertPEM()), "\n", "\r\n")
	response := m.must(logical.UpdateOperation, "trust/ftd", map[string]any{"ca_cert": spelled})
	require.Contains(t, response.Warnings[0], "same certificates")
	after := m.config("ftd")
	require.Equal(t, spelled, after.CACert)
	require.Equal(t, before.ConnectionID, after.ConnectionID)
	require.Len(t, m.vendors.Requests("ftd"), requests)
	require.Empty(t, sent.kinds)
}

func TestTrustUpdate_Request_IsChecked(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/ftd", map[string]any{}, "ca_cert")
	m.rejected(http.StatusNotFound, logical.UpdateOperation, "trust/missing", map[string]any{"ca_cert": ""}, "does not exist")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/ftd", map[string]any{"tls_skip_verify": true}, "tls_skip_verify")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/ftd", map[string]any{"address": "192.0.2.1"}, "address")
	for _, operation := range []logical.Operation{logical.ReadOperation, logical.DeleteOperation, logical.ListOperation, logical.PatchOperation} {
		m.rejected(http.StatusMethodNotAllowed, operation, "trust/ftd", nil)
	}
	config := m.config("ftd")
	config.Vendor = "later"
	m.putConfig("ftd", config)
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "trust/ftd", map[string]any{"ca_cert": ""}, `"vendor"`)
}

func TestTrustUpdate_Sudo_IsRequired(t *testing.T) {
	m := newMountWithoutVendors(t)
	require.Contains(t, m.backend.SpecialPaths().Root, "trust/*")
	for _, path := range m.backend.pathTrust() {
		require.True(t, strings.HasPrefix(path.Pattern, trustPrefix), path.Pattern)
	}
}

func TestTrustUpdate_RotationRuns_IsRejected(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	_, release, err := m.backend.pool.AcquireExclusive(t.Context(), m.storage, "ftd", m.config("ftd"))
	require.NoError(t, err)
	m.rejected(http.StatusConflict, logical.UpdateOperation, "trust/ftd", map[string]any{"ca_cert": string(m.vendors.CACertPEM()) + otherCA(t)}, "rotated")
	release()
	m.must(logical.UpdateOperation, "trust/ftd", map[string]any{"ca_cert": string(m.vendors.CACertPEM()) + otherCA(t)})
}

// After a rotation no operator knows the root credential.
func TestTrustUpdate_AfterRotation_NeedsNoSecret(t *testing.T) {
	forRotations(t, func(t *testing.T, m *mount, r rotationCase) {
		m.rotate(r.vendor)
		m.renewCertificate(r.vendor)
		m.trust(r.vendor)
		require.NoError(t, m.readAndRevoke(r.vendor))
		m.rotate(r.vendor)
	})
}

// A rotation was interrupted, and then the device's certificate was replaced: neither can be resolved alone.
func TestTrustUpdate_RotationInDoubt_ResolvesIt(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"applied":     {Vendor: "ftd", Route: "PUT *", DropAfter: true},
		"not applied": {Vendor: "ftd", Route: "PUT *", DropBefore: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, "ftd", nil)
			m.failRotation(http.StatusFailedDependency, fault)
			sent := m.watchEvents()
			m.renewCertificate("ftd")
			require.True(t, m.config("ftd").Root.InDoubt())
			m.trust("ftd")
			require.False(t, m.config("ftd").Root.InDoubt())
			m.rememberRotatedSecrets("ftd")
			require.Contains(t, sent.kinds, eventTrustUpdate)
			if name == "applied" {
				require.Contains(t, sent.kinds, rotation.EventRotate)
			}
			require.NoError(t, m.readAndRevoke("ftd"))
		})
	}
}

// A device that was restored from a backup has its older certificate and its older password.
func TestTrustUpdate_DeviceRestored_ActivatesTheOlderRoot(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	first := m.configData("ftd", nil)["password"].(string)
	m.rotate("ftd")
	m.changePassword(first)
	m.renewCertificate("ftd")
	m.trust("ftd")
	require.Equal(t, first, m.config("ftd").Fields["password"])
	require.NoError(t, m.readAndRevoke("ftd"))
}

// Leases of a retired config still end at the vendor, so its trust can be changed too.
func TestTrustUpdate_RetiredConfig_CanRevoke(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	leased := m.read("ftd")
	m.must(logical.DeleteOperation, "config/ftd", map[string]any{"force": true})
	m.renewCertificate("ftd")
	require.Error(t, m.revoke(leased))
	m.trust("ftd")
	require.True(t, m.config("ftd").Retired)
	require.NoError(t, m.revoke(leased))
	require.Empty(t, m.leased("ftd"))
}

func TestTrustUpdate_SkipVerify_Warns(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"tls_skip_verify": true})
	response := m.must(logical.UpdateOperation, "trust/ftd", map[string]any{"tls_server_name": "firewall.example"})
	require.Contains(t, strings.Join(response.Warnings, "\n"), "tls_skip_verify")
}

func TestWithTrust_SharingEpoch_OutlivesTheConnection(t *testing.T) {
	first := &store.Config{ConnectionID: "one"}
	second := first.WithTrust("a", "b")
	require.Equal(t, "one", second.SharingEpoch)
	require.NotEqual(t, "one", second.ConnectionID)
	require.Equal(t, "one", second.WithTrust("c", "d").SharingEpoch)
	require.Empty(t, first.CACert)
}

// The stored root credential is no new candidate: wrong config writes do not keep a renewed certificate from being followed.
func TestTrustUpdate_WrongWritesBefore_IsStillVerified(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	for _, password := range []string{"wr0ng-A-password", "wr0ng-B-password", "wr0ng-C-password"} {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": password}, "was not stored")
	}
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": "wr0ng-D-password"}, "may lock it")
	m.renewCertificate("ftd")
	m.trust("ftd")
	require.NoError(t, m.readAndRevoke("ftd"))
}
