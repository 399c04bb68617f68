package trend

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func TestProductOf_Host_NamesTheProduct(t *testing.T) {
	for address, want := range map[string]string{
		"workload.us-1.cloudone.trendmicro.com":         productProtection,
		"https://workload.au-1.cloudone.trendmicro.com": productProtection,
		"WORKLOAD.DE-1.cloudone.trendmicro.com":         productProtection,
		"workload.in-1.cloudone.trendmicro.com/api":     productProtection,
		"app.deepsecurity.trendmicro.com":               productLegacy,
		"dsm.example.com:4119":                          productManager,
		"workload.us-1.cloudone.trendmicro.com.example": productManager,
		"10.0.0.1": productManager,
	} {
		canonical := provider.CanonicalAddress(vendor{}, address)
		assert.Equal(t, want, productOf(canonical), canonical)
		assert.Contains(t, canonical, "/api", "an address without a path gets that of the API")
	}
}
