package backend

import (
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Terraform and GitOps write the same config again and again.
func TestConfigWrite_SameRootAgain_ChangesNothing(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"rotation_period": "24h"})
	held, before := m.read("ftd"), m.config("ftd")
	m.clock.Advance(time.Hour)
	m.writeConfig("ftd", nil)
	after := m.config("ftd")
	require.Equal(t, before.Root, after.Root)
	require.Equal(t, before.ConnectionID, after.ConnectionID)
	require.Equal(t, held.data["token"], m.read("ftd").data["token"])
	require.Len(t, m.logins("ftd"), 1)
}

// The stored password was changed on the device: a write of the stored one must not report success.
func TestConfigWrite_SameRootRefused_IsRejected(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", nil)
	m.changePassword("An0ther-password")
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_credentials": 2}), "was not stored")
	require.Equal(t, 3, m.config("ftd").MaxCredentials)
	m.must(logical.UpdateOperation, "config/ftd", m.configData("ftd", map[string]any{"max_credentials": 2, "verify_connection": false}))
	require.Equal(t, 2, m.config("ftd").MaxCredentials)
}

func TestConfigWrite_SameRootVerified_IsNotUnverified(t *testing.T) {
	m := newMount(t)
	m.writeConfig("ftd", map[string]any{"verify_connection": false})
	require.True(t, m.config("ftd").Root.Unverified)
	m.writeConfig("ftd", nil)
	require.False(t, m.config("ftd").Root.Unverified)
}

// Only a key that differs from the stored one needs the previous one to be revoked first.
func TestConfigWrite_SameRootAndPrevious_IsAccepted(t *testing.T) {
	m := newMount(t)
	m.configure("trend", trendRotation.role)
	m.fault(emulator.Fault{Vendor: "trend", Route: "deleteApiKey", Status: http.StatusForbidden})
	m.rotate("trend")
	key := m.config("trend").Fields["api_key"]
	update := map[string]any{"api_key": key, "max_retries": 1}
	_, err := plainBody(m.backend.HandleRequest(t.Context(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "config/trend", Data: update, Storage: m.storage,
	}))
	require.NoError(t, err)
	require.NotNil(t, m.config("trend").Root.Previous, "it is still to be revoked")
}

func TestConfigWrite_OtherSpelling_IsNoMove(t *testing.T) {
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	held, before := m.read("ftd"), m.config("ftd")
	block, rest := pem.Decode([]byte(before.CACert))
	require.Empty(t, strings.TrimSpace(string(rest)))
	bundle := string(pem.EncodeToMemory(block))
	for name, changes := range map[string]map[string]any{
		"trailing slash": {"address": before.Address + "/"},
		"upper case":     {"address": strings.ToUpper(before.Address)},
		"white space":    {"address": " " + before.Address},
		"certificate":    {"ca_cert": "the device's own:\n" + bundle + "\n" + bundle},
	} {
		t.Run(name, func(t *testing.T) {
			m.must(logical.UpdateOperation, "config/ftd", changes)
			after := m.config("ftd")
			require.Equal(t, before.ConnectionID, after.ConnectionID)
			require.Equal(t, held.data["token"], m.read("ftd").data["token"])
			m.restart()
			m.must(logical.UpdateOperation, "config/ftd/check", nil)
		})
	}
	require.NoError(t, m.revoke(held))
}

func TestConfigWrite_TimeoutOrRetries_SharingGoesOn(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.configure("ftd", map[string]any{"sharing": "shared"})
	held := m.read("ftd")
	logins := m.operations("ftd")["password"]
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{"max_retries": 1, "request_timeout": "1s"})
	require.Equal(t, held.data["token"], m.read("ftd").data["token"])
	require.Len(t, m.logins("ftd"), 1)
	require.Equal(t, logins, m.operations("ftd")["password"], "the login goes on")

	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", Delay: 20 * time.Second})
	began := time.Now()
	m.rejected(http.StatusServiceUnavailable, logical.UpdateOperation, "config/ftd/check", nil)
	require.Less(t, time.Since(began), 15*time.Second, "the setting applies")
}

func TestSameCertificates_Bundles_AreComparedAsSets(t *testing.T) {
	m := newMount(t)
	one := string(m.vendors.CACertPEM())
	other := string(newMount(t).vendors.CACertPEM())
	require.True(t, sameCertificates(one+other, other+"\n\n"+one+one))
	require.True(t, sameCertificates("", "\n"))
	require.False(t, sameCertificates(one, one+other))
	require.False(t, sameCertificates(one, ""))
	require.False(t, sameCertificates("nonsense", "other nonsense"))
	require.False(t, sameCertificates(one, strings.Replace(one, "CERTIFICATE", "TRUSTED CERTIFICATE", 2)))
}

// The stored root credential is no new candidate: after wrong writes, a write that changes only the trust is verified.
func TestConfigWrite_WrongRootsBefore_TrustIsChanged(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	for _, password := range []string{"wr0ng-A-password", "wr0ng-B-password", "wr0ng-C-password"} {
		m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": password}, "was not stored")
	}
	m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/ftd", map[string]any{"password": "wr0ng-D-password"}, "may lock it")
	m.must(logical.UpdateOperation, "config/ftd", map[string]any{
		"password": m.configData("ftd", nil)["password"], "tls_server_name": "localhost",
	})
	require.Equal(t, "localhost", m.config("ftd").TLSServerName)
}
