package store

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Every valid name is one that the paths match and that storage accepts.
func TestCheckName_Names_AreThoseThatCanBeStored(t *testing.T) {
	const characters = "azAZ09_-./ @ä%:\\\x00\n`{[/"
	storage := logical.NewStorageView(&logical.InmemStorage{}, RolePrefix)
	valid := 0
	for i := range 1 << 12 {
		var name strings.Builder
		for n := i; n > 0; n /= len(characters) {
			name.WriteByte(characters[n%len(characters)])
		}
		err := CheckName(name.String())
		if err != nil {
			require.Equal(t, provider.ClassInvalid, provider.ClassOf(err))
			continue
		}
		valid++
		require.Regexp(t, "^"+framework.GenericNameRegex("name")+"$", name.String())
		require.NoError(t, storage.Put(t.Context(), &logical.StorageEntry{Key: name.String()}))
	}
	require.Greater(t, valid, 100)
	require.NoError(t, CheckName(strings.Repeat("n", MaxNameLength)))
}

// Both ends of each range of characters belong to it.
func TestCheckName_FirstAndLastOfARange_AreValid(t *testing.T) {
	for _, name := range []string{"a", "z", "A", "Z", "0", "9", "_"} {
		require.NoError(t, CheckName(name), name)
	}
}

func TestCheckName_InvalidName_SaysWhy(t *testing.T) {
	for name, reason := range map[string]string{
		"": "not empty", "a..b": "two dots", "a b": "consists of", "a/b": "consists of", "ä": "consists of", "-a": "begins", "a-": "ends",
		".a": "begins", "a.": "ends", "..": "begins", strings.Repeat("n", MaxNameLength+1): "128",
	} {
		require.ErrorContains(t, CheckName(name), reason, name)
	}
}
