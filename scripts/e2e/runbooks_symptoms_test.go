package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/scripts/devserver"
)

// distrust makes the config trust another authority, as after a change of the device's certificate.
func (s *runbookServer) distrust() {
	s.t.Helper()
	served := s.Emulator().Vendors["ftd"]
	other, err := os.ReadFile(filepath.Join("testdata", "other-ca.pem"))
	require.NoError(s.t, err)
	fields := map[string]any{"ca_cert": string(other), "verify_connection": false}
	for field, value := range served.Credentials {
		fields[field] = value
	}
	_, err = s.client.Logical().Write("vendorauth/config/edge", fields)
	require.NoError(s.t, err)
	s.requireRefused("certificate")
}

// onCall writes the policy of the page, and returns a token that has it alone.
func (s *runbookServer) onCall() string {
	s.t.Helper()
	for _, b := range s.policy {
		s.shell(s.client.Token(), b)
	}
	created, err := s.client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{policyName}, NoDefaultPolicy: true, TTL: "1h"})
	require.NoError(s.t, err)
	return created.Auth.ClientToken
}

// setupTrend is the setup of the page for a vendor whose rotation replaces the root credential by another one, which the
// engine then revokes.
func (s *runbookServer) setupTrend() {
	s.t.Helper()
	fields, err := s.Emulator().ConfigFields("trend")
	require.NoError(s.t, err)
	_, err = s.client.Logical().Write("vendorauth/config/edge", fields)
	require.NoError(s.t, err)
	_, err = s.client.Logical().Write("vendorauth/roles/edge-reader", map[string]any{"config": "edge", "role_name": "Auditor", "ttl": "15m"})
	require.NoError(s.t, err)
}

// keepPreviousRoot rotates while the vendor refuses to revoke the previous root credential.
func (s *runbookServer) keepPreviousRoot() {
	s.t.Helper()
	s.fault(devserver.Fault{Vendor: "trend", Route: "deleteApiKey", Status: 403})
	_, err := s.client.Logical().Write("vendorauth/config/edge/rotate-root", nil)
	require.NoError(s.t, err)
	s.requireState("previous_not_revoked")
}

func (s *runbookServer) requireRevocationFails(lease string) {
	s.t.Helper()
	require.Error(s.t, s.client.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: lease, Sync: true}))
}

// irrevocable returns how many leases Vault has given up.
func (s *runbookServer) irrevocable() int {
	s.t.Helper()
	answer, err := s.client.Logical().ReadWithData("sys/leases", map[string][]string{"type": {"irrevocable"}})
	require.NoError(s.t, err)
	require.NotNil(s.t, answer)
	count, err := answer.Data["lease_count"].(json.Number).Int64()
	require.NoError(s.t, err)
	return int(count)
}

// exhaustRevocations lets Vault give a lease up, as it does after six failed attempts. Vault waits longer before each, ten
// minutes in all. A request to revoke the lease in the background starts the next attempt at once.
func (s *runbookServer) exhaustRevocations(lease string) {
	s.t.Helper()
	require.Zero(s.t, s.irrevocable())
	for deadline := time.Now().Add(2 * time.Minute); s.irrevocable() == 0; time.Sleep(pollInterval) {
		require.True(s.t, time.Now().Before(deadline), "Vault has not given the lease up")
		require.NoError(s.t, s.client.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: lease}))
	}
}

// requireRevoked requires that every credential has ended at the vendor, in the ledger and in Vault, and that others can
// be read.
func (s *runbookServer) requireRevoked() {
	s.t.Helper()
	s.requireNoneLive()
	require.Zero(s.t, s.irrevocable())
	listed, err := s.client.Logical().List("vendorauth/config/edge/credentials")
	require.NoError(s.t, err)
	require.Nil(s.t, listed)
	s.requireWorks()
}

// restoreOldSnapshot restores a snapshot that is two hours old. After the snapshot, the credential whose lease it has was
// revoked, since was done, and another one was issued. So the vendor does not know the credential of a lease, and has one
// that no lease holds.
func (s *runbookServer) restoreOldSnapshot(since func()) {
	s.t.Helper()
	ended := s.read("vendorauth/creds/edge-reader")
	s.ageHeartbeat()
	snapshot, err := s.Snapshot(s.t.Context())
	require.NoError(s.t, err)
	revokeLease(s.t, s.client, ended.LeaseID)
	since()
	unrecorded := s.read("vendorauth/creds/edge-reader")
	require.NoError(s.t, s.RestoreSnapshot(s.t.Context(), snapshot))

	require.Eventually(s.t, func() bool {
		config, err := s.client.Logical().Read("vendorauth/config/edge")
		return err == nil && config != nil && config.Data["rotation_suspended"] == true
	}, time.Minute, pollInterval)
	listed, err := s.client.Logical().List("vendorauth/config/edge/credentials")
	require.NoError(s.t, err)
	require.Equal(s.t, []any{ended.Data["credential_id"]}, listed.Data["keys"], "the ledger is that of the snapshot")
	_, err = s.client.Sys().Lookup(unrecorded.LeaseID)
	require.Error(s.t, err, "no lease holds the credential")
	require.Equal(s.t, 1, s.countLive(), "the credential of the lease has ended, and another one lives")
}

// ageHeartbeat makes the stored heartbeat of the mount two hours old. The running engine does not read it.
func (s *runbookServer) ageHeartbeat() {
	s.t.Helper()
	mounts, err := s.client.Sys().ListMounts()
	require.NoError(s.t, err)
	record, err := json.Marshal(map[string]any{"version": 1, "at": time.Now().UTC().Add(-2 * time.Hour)})
	require.NoError(s.t, err)
	path := fmt.Sprintf("sys/raw/logical/%s/heartbeat", mounts["vendorauth/"].UUID)
	_, err = s.client.Logical().Write(path, map[string]any{"value": string(record)})
	require.NoError(s.t, err)
}

// countLive counts the leased credentials that live at the device.
func (s *runbookServer) countLive() int {
	s.t.Helper()
	credentials, err := s.Control().Credentials(s.t.Context(), "ftd")
	require.NoError(s.t, err)
	live := 0
	for _, credential := range credentials {
		if credential.Live && credential.Kind == "leased" {
			live++
		}
	}
	return live
}
