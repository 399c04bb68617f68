package backend

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// readAs is read by an identity.
func (m *mount) readAs(role, person string) *vaultLease {
	m.t.Helper()
	response, _, err := m.handle(m.t.Context(), &logical.Request{
		Operation: logical.ReadOperation, Path: "creds/" + role, Storage: m.storage,
		EntityID: "entity-of-" + person, DisplayName: "approle-" + person, ClientTokenAccessor: "accessor-of-" + person,
	})
	require.NoError(m.t, err)
	return m.leaseOf(response)
}

// describe returns a credential as the inventory has it.
func (m *mount) describe(config string, l *vaultLease) map[string]any {
	m.t.Helper()
	described, ok := m.credentialsOf(config)[l.data["credential_id"].(string)].(map[string]any)
	require.True(m.t, ok, "not in the inventory")
	require.Equal(m.t, l.data["credential_id"], described["credential_id"])
	return described
}

// requireHolder requires that an item of the inventory names a person's lease.
func (m *mount) requireHolder(held map[string]any, role, person string) {
	m.t.Helper()
	require.Equal(m.t, "entity-of-"+person, held["entity_id"])
	require.Equal(m.t, "approle-"+person, held["display_name"])
	require.Equal(m.t, "accessor-of-"+person, held["token_accessor"])
	require.Equal(m.t, "vendorauth/creds/"+role, held["lease_path"])
	m.requireNow(held["issued_at"])
}

func TestCredentials_Exclusive_NamesTheHolder(t *testing.T) {
	m := newConfiguredMount(t, "trend", auditorRole)
	leased := m.readAs("trend", "ann")
	other := m.readAs("trend", "bob")
	for range 2 { // from memory, and after a restart
		for person, l := range map[string]*vaultLease{"ann": leased, "bob": other} {
			described := m.describe("trend", l)
			require.Equal(t, 1, described["holders"])
			require.Equal(t, l.data["key_name"], described["marker"])
			leases := described["leases"].([]map[string]any)
			require.Len(t, leases, 1)
			m.requireHolder(leases[0], "trend", person)
		}
		m.restart()
	}
	_, err := m.renew(leased, 0)
	require.NoError(t, err)
	m.requireHolder(m.describe("trend", leased)["leases"].([]map[string]any)[0], "trend", "ann")
}

func TestCredentials_Shared_NamesEachHolder(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	first, second := m.readAs("ftd", "ann"), m.readAs("ftd", "bob")
	require.Equal(t, first.data["credential_id"], second.data["credential_id"])
	_, err := m.renew(second, 0)
	require.NoError(t, err)
	for range 2 {
		described := m.describe("ftd", first)
		require.Equal(t, 2, described["holders"])
		leases := described["leases"].([]map[string]any)
		m.requireHolder(leases[0], "ftd", "ann")
		m.requireHolder(leases[1], "ftd", "bob")
		m.restart()
	}
	require.NoError(t, m.revoke(first))
	leases := m.describe("ftd", second)["leases"].([]map[string]any)
	require.Len(t, leases, 1)
	m.requireHolder(leases[0], "ftd", "bob")
}

// Naming the holders costs nothing: the same writes as before, and no read.
func TestCredentials_Holders_CostNoStorage(t *testing.T) {
	m := newConfiguredMount(t, "ftd", sharedRole)
	held := m.readAs("ftd", "ann")
	counted := storagetest.Wrap(m.storage)
	_, _, err := m.requestOn(counted, logical.ReadOperation, "creds/ftd", nil)
	require.NoError(t, err)
	require.Equal(t, map[storagetest.Kind]int{storagetest.Put: 1}, counted.Counts())

	counted = storagetest.Wrap(m.storage)
	m.clock.Advance(time.Minute)
	_, err = m.renewOn(counted, held, 0)
	require.NoError(t, err)
	require.Equal(t, map[storagetest.Kind]int{storagetest.Put: 1}, counted.Counts())
}

func TestCredentials_LeaseIsGone_HasNoHolder(t *testing.T) {
	m := newConfiguredMount(t, "ftd", nil)
	revoked, expired := m.readAs("ftd", "ann"), m.readAs("ftd", "bob")
	m.fault(emulator.Fault{Vendor: "ftd", Route: "*", DropBefore: true})
	require.Error(t, m.revoke(revoked))
	m.clock.Advance(16 * time.Minute) // Vault has lost the second lease
	for _, l := range []*vaultLease{revoked, expired} {
		described := m.describe("ftd", l)
		require.Equal(t, 0, described["holders"])
		require.Empty(t, described["leases"])
	}
}

// Where a vendor has no field for a marker, no marker is shown: an operator would search for it in vain.
func TestCredentials_VendorWithoutMarker_ShowsNone(t *testing.T) {
	for _, vendor := range []string{"fortianalyzer", "fortisiem", "lacework"} {
		t.Run(vendor, func(t *testing.T) {
			m := newMount(t)
			m.clock.endWaits()
			sent := &eventLog{}
			m.logEvents(sent)
			m.configure(vendor, map[string]any{"ttl": "10m"})
			leased := m.read(vendor)
			require.Empty(t, m.describe(vendor, leased)["marker"])
			require.Empty(t, m.firstEntry(vendor).Marker)
			m.fault(emulator.Fault{Vendor: vendor, Route: "*", DropBefore: true})
			_ = m.revoke(leased)
			m.rejectedRead(vendor)
			require.NotContains(t, m.logText(), m.markerPrefix())
			require.NotContains(t, sent.String(), m.markerPrefix())
		})
	}
}

// rejectedRead reads creds/<role>, which has to fail.
func (m *mount) rejectedRead(role string) {
	m.t.Helper()
	_, _, err := m.request(logical.ReadOperation, "creds/"+role, nil)
	require.Error(m.t, err)
}

// nameAtVendor returns the name by which an operator finds the config's only credential: its marker, or its ID where the
// vendor has none.
func (m *mount) nameAtVendor(config string) string {
	m.t.Helper()
	described := m.inventory(config)
	if marker := described["marker"].(string); marker != "" {
		return marker
	}
	return described["credential_id"].(string)
}
