package marker_test

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

func TestMain(m *testing.M) { providertest.Main(m) }

func TestNewID_TenRandomBytes_GiveSixteenCharacters(t *testing.T) {
	id, err := marker.NewID(strings.NewReader("0123456789"))
	require.NoError(t, err)
	require.Equal(t, "gaytemzugu3doobz", id)
	require.Len(t, id, marker.IDLength)
	_, err = marker.NewID(strings.NewReader("too few"))
	require.ErrorContains(t, err, "credential id")
}

func TestMount_Marker_IsBoundedAndReadable(t *testing.T) {
	storage := &logical.InmemStorage{}
	var mount marker.Mount
	name, err := mount.Marker(t.Context(), storage, "Team_A/firewall.readers-in-the-north", "gaytemzugu3doobz")
	require.NoError(t, err)
	require.Regexp(t, `^vault-[a-z2-7]{8}-team-a-firewall-readers--gaytemzugu3doobz$`, name)
	require.LessOrEqual(t, len(name), 56)

	prefix, err := mount.Prefix(t.Context(), storage)
	require.NoError(t, err)
	id, complete := marker.ID(name, prefix)
	require.True(t, complete)
	require.Equal(t, "gaytemzugu3doobz", id)
}

func TestMount_Restart_KeepsItsID(t *testing.T) {
	storage := &logical.InmemStorage{}
	var before, after, other marker.Mount
	first, err := before.Prefix(t.Context(), storage)
	require.NoError(t, err)
	second, err := after.Prefix(t.Context(), storage)
	require.NoError(t, err)
	require.Equal(t, first, second)
	foreign, err := other.Prefix(t.Context(), &logical.InmemStorage{})
	require.NoError(t, err)
	require.NotEqual(t, first, foreign)
}

func TestMount_StorageFails_NoIDIsUsed(t *testing.T) {
	storage := &logical.InmemStorage{}
	var mount marker.Mount
	_, err := mount.Prefix(t.Context(), storagetest.FailNth(storage, 1, storagetest.Put))
	require.ErrorContains(t, err, "storing the mount's id")
	kept, err := mount.Prefix(t.Context(), storage)
	require.NoError(t, err)
	stored, err := storage.Get(t.Context(), marker.StorageKey)
	require.NoError(t, err)
	require.Contains(t, string(stored.Value), strings.TrimSuffix(strings.TrimPrefix(kept, "vault-"), "-"))
}

func TestID_NameIsNotAWholeMarker_IsRejected(t *testing.T) {
	for name, want := range map[string]string{
		"vault-abcdefgh-reader-abcdefgh234567ab": "abcdefgh234567ab",
		"vault-abcdefgh-a-role-abcdefgh234567ab": "abcdefgh234567ab",
		"vault-abcdefgh--abcdefgh234567ab":       "abcdefgh234567ab",
		"vault-abcdefgh-reader-abcdefgh234567a":  "", // shortened by the vendor
		"vault-abcdefgh-reader-":                 "",
		"vault-abcdefgh-abcdefgh234567ab":        "",
		"vault-ijklmnop-reader-abcdefgh234567ab": "", // another mount's
		"VAULT-ABCDEFGH-READER-ABCDEFGH234567AB": "",
		"vault-abcdefgh":                         "",
		"a person's key":                         "",
		"":                                       "",
	} {
		id, complete := marker.ID(name, "vault-abcdefgh-")
		require.Equal(t, want, id, name)
		require.Equal(t, want != "", complete, name)
	}
}

// A vendor's list can hold any text, and the names of orphans appear in answers, logs and events.
func TestID_NameHasForeignText_IsRejected(t *testing.T) {
	for _, name := range []string{
		"\x1b[31m", "a\nb", "a b", "A", "ä", "_", strings.Repeat("a", 25), strings.Repeat("a", 1<<20),
	} {
		_, complete := marker.ID("vault-abcdefgh-"+name+"-gaytemzugu3doobz", "vault-abcdefgh-")
		require.False(t, complete, "%.40q", name)
	}
	_, complete := marker.ID("vault-abcdefgh-a-gaytemzugu3doo\x1bz", "vault-abcdefgh-")
	require.False(t, complete)
	id, complete := marker.ID("vault-abcdefgh-"+strings.Repeat("a", 24)+"-gaytemzugu3doobz", "vault-abcdefgh-")
	require.True(t, complete)
	require.Equal(t, "gaytemzugu3doobz", id)
}
