package provider_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestCanonicalAddress_Spellings_AreOneAddress(t *testing.T) {
	for canonical, spellings := range map[string][]string{
		"https://manager.example":          {"manager.example", "MANAGER.example", "https://manager.example/", "HTTPS://manager.example:443", " manager.example:443 "},
		"https://manager.example:4119/api": {"manager.example:4119/api", "https://Manager.example:4119/api/", "https://manager.example:4119//api"},
		"https://[2001:db8::1]":            {"2001:db8::1", "[2001:DB8:0::1]:443", "https://[2001:0db8::0001]/"},
		"http://127.0.0.1":                 {"http://127.0.0.1:80", "http://127.0.0.1/"},
		"":                                 {"", " "},
	} {
		for _, spelling := range spellings {
			require.Equal(t, canonical, provider.CanonicalAddress(nil, spelling), spelling)
		}
	}
}

func TestCanonicalAddress_OtherAddresses_Differ(t *testing.T) {
	addresses := []string{
		"manager.example", "manager.example.", "http://manager.example", "manager.example:8443", "manager.example/api", "manager.example/API",
		"other.example", "https://manager.example@other.example", "manager.example?x=y", "not an address%",
	}
	seen := make(map[string]string)
	for _, address := range addresses {
		canonical := provider.CanonicalAddress(nil, address)
		require.NotContains(t, seen, canonical, "%s and %s", address, seen[canonical])
		seen[canonical] = address
	}
}
