package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// benchmarkMount returns a mount whose emulators serve plain HTTP, with a role of the given sharing.
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
		_, err := plainBody(m.backend.HandleRequest(b.Context(), request))
		require.NoError(b, err)
	}
}

// BenchmarkExclusiveReadAndRevoke issues and revokes: two storage writes, a delete, and the requests of the driver.
func BenchmarkExclusiveReadAndRevoke(b *testing.B) {
	m := benchmarkMount(b, store.SharingExclusive)
	request := &logical.Request{Operation: logical.ReadOperation, Path: "creds/ftd", Storage: m.storage, MountPoint: "vendorauth/"}
	for b.Loop() {
		response, err := plainBody(m.backend.HandleRequest(b.Context(), request))
		require.NoError(b, err)
		require.NoError(b, m.revoke(m.leaseOf(response)))
	}
}
