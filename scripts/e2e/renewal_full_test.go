package e2e

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator/vendorfacts"
)

// manyRenewals are enough to meet every fraction of a second: Vault's core computes the lease's end from whole seconds.
const manyRenewals = 60

// A renewal that returns a second less than asked has a warning, for which Vault Secrets Operator requests a new
// credential.
func TestRenewal_SixtyTimes_ReturnTheFullTTLWithoutWarning(t *testing.T) {
	forEachRenewable(t, func(t *testing.T, client *api.Client, mountPath string, vendor vendorfacts.Vendor) {
		write(t, client, mountPath+"/config/main", map[string]any{"requests_per_minute": 0})
		for _, sharing := range []string{"exclusive", "shared"} {
			const ttl, longer = 10 * time.Minute, 14 * time.Minute
			write(t, client, mountPath+"/roles/app", roleFields(vendor, map[string]any{
				"ttl": ttl.String(), "max_ttl": "2h", "sharing": sharing,
			}))
			secret := read(t, client, mountPath+"/creds/app")
			for i := range manyRenewals {
				increment, want := time.Duration(0), ttl
				if i%2 == 1 {
					increment, want = longer, longer
				}
				renewed, err := client.Sys().RenewWithContext(t.Context(), secret.LeaseID, int(increment.Seconds()))
				require.NoError(t, err)
				require.Empty(t, renewed.Warnings, "%s, renewal %d", sharing, i)
				require.Equal(t, int(want.Seconds()), renewed.LeaseDuration, "%s, renewal %d", sharing, i)
			}
			requireAccepted(t, vendor, secret.Data)
			revokeLease(t, client, secret.LeaseID)
			require.Zero(t, live(t, vendor.Name, "leased"))
		}
	})
}
