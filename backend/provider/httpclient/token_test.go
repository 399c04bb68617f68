package httpclient_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

func TestValidToken_PrintableASCIIOnly(t *testing.T) {
	for _, text := range []string{"", "Bearer", "America/New_York", "a.b-c_d~e+f/g==", "{}\"!"} {
		assert.True(t, httpclient.ValidToken(text), "%q", text)
	}
	for _, text := range []string{" ", "a b", "a\n", "a\r\nSet-Cookie: x", "\x00", "\x7f", "é", "\xff", "\u00a0"} {
		assert.False(t, httpclient.ValidToken(text), "%q", text)
	}
}
