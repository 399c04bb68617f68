package httpclient_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
)

// requireHidden requires that a text shows no part of a secret that is longer than a few characters, in any case.
func requireHidden(t *testing.T, shown, secret string) {
	t.Helper()
	plain := strings.ToLower(strings.Join(strings.Fields(shown), ""))
	lower := strings.ToLower(secret)
	for i := 0; i+8 <= len(lower); i++ {
		assert.NotContains(t, plain, lower[i:i+8], "%s", shown)
	}
}

func TestRedact_AnyEncoding_IsReplaced(t *testing.T) {
	for _, secret := range []string{
		"2:bG9uZ/secret+KeyOfDeepSecurity==", "Tr0ub4dor&3horse<battery>staple", "Sup3r!Secret*Pass@word=/+0", "fQ8zL2mVt7yRb4Kc9WqN5uXe",
		"%41pha%20br=3Davo&amp;ch\\u0041rlie",
	} {
		for name, encode := range providertest.Encodings {
			t.Run(name, func(t *testing.T) {
				encoded := encode(secret)
				shown := httpclient.Redact("the key "+encoded+", it is wrong", secret)
				require.Contains(t, shown, "[redacted]")
				requireHidden(t, shown, secret)
				assert.NotContains(t, shown, encoded)
				assert.True(t, strings.HasPrefix(shown, "the key "), shown)
				assert.True(t, strings.HasSuffix(shown, " it is wrong"), shown)
				// What remains of an encoded secret decodes to less than a run of it.
				middle := strings.TrimSuffix(strings.TrimPrefix(shown, "the key "), ", it is wrong")
				assert.Less(t, len(strings.ReplaceAll(middle, "[redacted]", "")), len(encoded)*2/3, "%s", shown)
			})
		}
	}
}

func TestRedact_ShortSecret_IsReplacedAsAWhole(t *testing.T) {
	assert.Equal(t, "the PIN [redacted] is wrong", httpclient.Redact("the PIN 90210 is wrong", "90210"))
	assert.Equal(t, "the PIN 9021 is wrong", httpclient.Redact("the PIN 9021 is wrong", "90210"))
}

func TestRedact_UnknownSecretByItsName_IsReplaced(t *testing.T) {
	for _, text := range []string{
		`{\"access_token\":\"abcdefgh\",\"message\":\"no\"}`, "grant refused: client_secret=abcdefgh&x=1", "password=abcdefgh",
	} {
		shown := httpclient.Redact(text)
		assert.NotContains(t, shown, "abcdefgh")
		assert.Contains(t, shown, "[redacted]")
	}
}

func TestRedact_EndlessText_IsBounded(t *testing.T) {
	const secret = "correct-horse-battery"
	for _, unit := range []string{"a", "%41", `\u0041`, "YWFh", "61", "&amp;", `\`, "=", "\x00", "é"} {
		shown := httpclient.Redact(strings.Repeat(unit, 1<<20/len(unit)), secret)
		assert.LessOrEqual(t, len([]rune(shown)), 301)
	}
}
