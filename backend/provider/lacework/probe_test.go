package lacework_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestUse_AnyAnswer_ReportsIfTokenIsAccepted(t *testing.T) {
	for name, test := range map[string]struct {
		status   int // of the answer; 0 means the product's own
		accepted bool
		class    provider.Class // of the error; 0 means none
	}{
		"accepted":     {0, true, 0},
		"unauthorized": {http.StatusUnauthorized, false, 0},
		"forbidden":    {http.StatusForbidden, false, 0},
		"no answer":    {http.StatusServiceUnavailable, false, provider.ClassUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			product := newProduct(t)
			credential, err := product.Issue(t.Context(), request(nil))
			require.NoError(t, err)
			if test.status != 0 {
				product.InjectFault(emulator.Fault{Route: "user_profile", Status: test.status})
			}
			accepted, err := product.Connection.(provider.User).Use(t.Context(), credential)
			assert.Equal(t, test.accepted, accepted)
			if test.class == 0 {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, test.class, provider.ClassOf(err), "%v", err)
		})
	}
}
