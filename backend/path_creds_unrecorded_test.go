package backend

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/storagetest"
)

// A credential exists, and neither its record nor its revocation has succeeded. Vault's client repeats a 5xx: three
// credentials for one read.
func TestIssue_NeitherRecordedNorRevoked_IsNotRepeated(t *testing.T) {
	for vendor, route := range map[string]string{
		"ftd": "revoke_token", "trend": "deleteApiKey", "fortianalyzer": "exec /sys/logout", "lacework": "", "fortisiem": "",
	} {
		for _, sharing := range []string{"exclusive", "shared"} {
			t.Run(vendor+"/"+sharing, func(t *testing.T) {
				m := newMount(t)
				role := map[string]any{"ttl": "10m", "sharing": sharing}
				if vendor == "trend" {
					role["role_name"] = "Auditor"
				}
				m.configure(vendor, role)
				if route != "" {
					m.withoutRetries(vendor)
					m.fault(emulator.Fault{Vendor: vendor, Route: route, Status: http.StatusServiceUnavailable})
				}
				failing, writes := storagetest.Wrap(m.storage), 0
				failing.Before = func(_ context.Context, operation storagetest.Operation) error {
					if operation.Kind != storagetest.Put || !strings.HasPrefix(operation.Key, ledger.StoragePrefix) {
						return nil
					}
					if writes++; writes == 2 {
						return storagetest.ErrFailed
					}
					return nil
				}
				_, status, err := m.requestOn(failing, logical.ReadOperation, "creds/"+vendor, nil)
				require.Error(t, err)
				require.Equal(t, http.StatusFailedDependency, status, "%v", err)
				require.Len(t, m.ledgerOf(vendor), 1, "the background work ends it")
				m.vendors.ClearFaults(vendor)
				if route != "" {
					m.runPeriodicAfter(10 * time.Minute)
					require.Empty(t, m.leased(vendor))
				}
			})
		}
	}
}
