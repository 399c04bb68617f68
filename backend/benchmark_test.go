package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// benchmarkMount is a mount whose emulator answers without TLS, with a role that shares or does not.
func benchmarkMount(b *testing.B, sharing string) *mount {
	b.Helper()
	m := newMountOn(b, emulator.Config{Seed: 1, PlainHTTP: true})
	m.writeConfig("ftd", map[string]any{"ca_cert": nil, "max_credentials": 0})
	m.must(logical.UpdateOperation, "roles/ftd", map[string]any{"config": "ftd", "ttl": "15m", "max_ttl": "2h", "sharing": sharing})
	return m
}

// BenchmarkSharedRead is a warm read of a shared credential: one storage write, no vendor call.
func BenchmarkSharedRead(b *testing.B) {
	m := benchmarkMount(b, store.SharingShared)
	m.read("ftd")
	request := &logical.Request{Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/"}
	for b.Loop() {
		_, err := m.backend.HandleRequest(b.Context(), request)
		require.NoError(b, err)
	}
}

// BenchmarkExclusiveReadAndRevoke is a whole life: two storage writes and a delete, and the calls of a driver
// that issues and revokes.
func BenchmarkExclusiveReadAndRevoke(b *testing.B) {
	m := benchmarkMount(b, store.SharingExclusive)
	request := &logical.Request{Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/"}
	for b.Loop() {
		response, err := m.backend.HandleRequest(b.Context(), request)
		require.NoError(b, err)
		require.NoError(b, m.revoke(m.leaseOf(response)))
	}
}
