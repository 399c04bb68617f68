package lease

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/providertest"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func TestMain(m *testing.M) { providertest.Main(m) }

func TestLifetimes_Limits_CapAndWarnWhereTheRoleAsked(t *testing.T) {
	const none, within, extends = provider.RenewalNone, provider.RenewalWithinLife, provider.RenewalExtends
	capped := func(field, value, whose, limit string) string {
		return fmt.Sprintf("%s of %s exceeds the %s's maximum of %s and is capped to it", field, value, whose, limit)
	}
	// The mount's default is 1h, its maximum 48h.
	credentials := New(Options{System: func() logical.SystemView {
		return &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 48 * time.Hour}
	}})
	for name, test := range map[string]struct {
		ttl, maxTTL, vendorMax time.Duration
		renewal                provider.Renewal
		wantTTL, wantMaxTTL    time.Duration
		warnings               []string
	}{
		"nothing set":                  {0, 0, 0, within, time.Hour, 4 * time.Hour, nil},
		"nothing set, extends":         {0, 0, 0, extends, time.Hour, 48 * time.Hour, nil},
		"nothing set, no renewal":      {0, 0, 0, none, time.Hour, 48 * time.Hour, nil},
		"no max_ttl":                   {10 * time.Minute, 0, 0, within, 10 * time.Minute, 40 * time.Minute, nil},
		"no max_ttl, 4 x the mount's":  {20 * time.Hour, 0, 0, within, 20 * time.Hour, 48 * time.Hour, nil},
		"no max_ttl, 4 x the vendor's": {10 * time.Minute, 0, 15 * time.Minute, within, 10 * time.Minute, 15 * time.Minute, nil},
		"the role's own":               {10 * time.Minute, 2 * time.Hour, 24 * time.Hour, within, 10 * time.Minute, 2 * time.Hour, nil},
		"default above max_ttl":        {0, 10 * time.Minute, 0, within, 10 * time.Minute, 10 * time.Minute, nil},
		"default above the vendor's":   {0, 0, 15 * time.Minute, none, 15 * time.Minute, 15 * time.Minute, nil},
		"ttl above max_ttl":            {2 * time.Hour, time.Hour, 0, within, time.Hour, time.Hour, nil},
		"renewals extend beyond it": {30 * time.Minute, 8 * time.Hour, 15 * time.Minute, extends, 15 * time.Minute, 8 * time.Hour, []string{
			capped("ttl", "30m0s", "vendor", "15m0s"),
		}},
		"renewals stay within it": {10 * time.Minute, 8 * time.Hour, 15 * time.Minute, within, 10 * time.Minute, 15 * time.Minute, []string{
			capped("max_ttl", "8h0m0s", "vendor", "15m0s"),
		}},
		"both above the mount's": {49 * time.Hour, 50 * time.Hour, 0, within, 48 * time.Hour, 48 * time.Hour, []string{
			capped("ttl", "49h0m0s", "mount", "48h0m0s"),
			capped("max_ttl", "50h0m0s", "mount", "48h0m0s"),
		}},
		"above mount's and vendor's": {49 * time.Hour, 0, 24 * time.Hour, none, 24 * time.Hour, 24 * time.Hour, []string{
			capped("ttl", "49h0m0s", "mount", "48h0m0s"),
			capped("ttl", "48h0m0s", "vendor", "24h0m0s"),
		}},
		"vendor's above the mount's":  {0, 0, 90 * 24 * time.Hour, extends, time.Hour, 48 * time.Hour, nil},
		"equal to the vendor's limit": {15 * time.Minute, 15 * time.Minute, 15 * time.Minute, within, 15 * time.Minute, 15 * time.Minute, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := credentials.Lifetimes(&store.Role{TTL: test.ttl, MaxTTL: test.maxTTL}, test.vendorMax, test.renewal)
			require.Equal(t, Lifetimes{TTL: test.wantTTL, MaxTTL: test.wantMaxTTL, Warnings: test.warnings}, got)
		})
	}
}

// A shared credential without a max_ttl lives for a small multiple of the ttl, whatever its vendor can do.
func TestLifetimes_SharedWithoutMaxTTL_FourTimesTheTTL(t *testing.T) {
	credentials := New(Options{System: func() logical.SystemView {
		return &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 48 * time.Hour}
	}})
	for name, test := range map[string]struct {
		ttl, maxTTL, vendorMax time.Duration
		renewal                provider.Renewal
		wantMaxTTL, wantLife   time.Duration
	}{
		"none":                 {30 * time.Minute, 0, 24 * time.Hour, provider.RenewalNone, 2 * time.Hour, 2*time.Hour + lifetimeMargin},
		"none, vendor's limit": {20 * time.Hour, 0, 24 * time.Hour, provider.RenewalNone, 24 * time.Hour, 24 * time.Hour},
		"within life":          {30 * time.Minute, 0, 0, provider.RenewalWithinLife, 2 * time.Hour, 2*time.Hour + lifetimeMargin},
		"extends":              {30 * time.Minute, 0, 0, provider.RenewalExtends, 2 * time.Hour, 2*time.Hour + lifetimeMargin},
		"mount's default":      {0, 0, 0, provider.RenewalExtends, 4 * time.Hour, 4*time.Hour + lifetimeMargin},
		"max_ttl set":          {30 * time.Minute, 30 * time.Minute, 0, provider.RenewalWithinLife, 30 * time.Minute, time.Hour + 2*lifetimeMargin},
	} {
		t.Run(name, func(t *testing.T) {
			role := &store.Role{TTL: test.ttl, MaxTTL: test.maxTTL, Sharing: store.SharingShared}
			lifetimes := credentials.Lifetimes(role, test.vendorMax, test.renewal)
			require.Equal(t, test.wantMaxTTL, lifetimes.MaxTTL)
			require.Equal(t, test.wantLife, lifetimes.atVendor(role, test.vendorMax, test.renewal))
		})
	}
}

func TestMaxLeaseTTL_RemainingLife_GivesWholeSeconds(t *testing.T) {
	require.Equal(t, 9*time.Second, maxLeaseTTL(10*time.Second))
	require.Equal(t, 9*time.Second, maxLeaseTTL(10*time.Second+900*time.Millisecond))
	require.Negative(t, maxLeaseTTL(-5*time.Second))
}

func TestCanServe_RemainingLife_MustCoverTheTTL(t *testing.T) {
	now := providertest.NewClock().Now()
	for name, test := range map[string]struct {
		life, age, ttl time.Duration
		want           bool
	}{
		"new":                               {2 * time.Hour, 0, 15 * time.Minute, true},
		"remaining life is the TTL":         {2 * time.Hour, 105 * time.Minute, 15 * time.Minute, true},
		"remaining life is below the TTL":   {2 * time.Hour, 106 * time.Minute, 15 * time.Minute, false},
		"issued for less, in its 1st half":  {10 * time.Minute, 5 * time.Minute, 15 * time.Minute, true},
		"issued for less, in its 2nd half":  {10 * time.Minute, 6 * time.Minute, 15 * time.Minute, false},
		"issued for exactly the TTL":        {15 * time.Minute, 7 * time.Minute, 15 * time.Minute, true},
		"issued for exactly the TTL, older": {15 * time.Minute, 8 * time.Minute, 15 * time.Minute, false},
		"has ended":                         {time.Hour, 2 * time.Hour, 15 * time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			issued := now.Add(-test.age)
			shared := &sharedCredential{issuedAt: issued, expiresAt: issued.Add(test.life), maxExpiresAt: issued.Add(test.life)}
			require.Equal(t, test.want, shared.canServe(test.ttl, now))
		})
	}
}
