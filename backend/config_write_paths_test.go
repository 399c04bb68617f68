package backend

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// A gateway serves several applications at one host. So a path decides where a secret is sent, in a field of its own as
// well as in address.
func TestConfigWrite_OtherPath_NeedsTheSecret(t *testing.T) {
	m := newMount(t)
	m.configure("fortisiem", sharedRole)
	before := len(m.vendors.Requests("fortisiem"))
	state := m.vendors.State().Vendors["fortisiem"]
	for field, value := range map[string]string{
		"address": state.URL + "/other", "token_path": "/other/token", "verify_path": "/other/summary", "revoke_url": state.URL + "/other",
	} {
		for _, operation := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			for _, verify := range []bool{true, false} {
				m.rejected(http.StatusBadRequest, operation, "config/fortisiem", map[string]any{field: value, "verify_connection": verify},
					`field "client_secret": must be given again when `+field+" changes")
			}
		}
	}
	require.Len(t, m.vendors.Requests("fortisiem"), before, "nothing is sent")
}

// The engine reads verify_path with a leased token, and a user who supplies another secret need not know that token.
func TestConfigWrite_OtherPathAndLiveCredential_IsRejected(t *testing.T) {
	m := newMount(t)
	m.configure("fortisiem", sharedRole)
	m.read("fortisiem")
	for field, value := range map[string]string{"token_path": "/other/token", "verify_path": "/other/summary"} {
		m.rejected(http.StatusConflict, logical.UpdateOperation, "config/fortisiem",
			m.configData("fortisiem", map[string]any{field: value, "client_secret": "another", "verify_connection": false}), "present address")
	}
	require.NotNil(t, m.read("fortisiem"), "the config still issues")
}

// Every text of a vendor is searched for all parts of the secrets.
func TestConfigWrite_HugeSecret_IsRejected(t *testing.T) {
	m := newMount(t)
	huge := strings.Repeat("a", maxSecretSize+1)
	for _, vendor := range registry() {
		for field, schema := range vendor.ConfigFields() {
			if store.IsSensitive(schema) {
				data := m.configData(vendor.Name(), map[string]any{field: huge, "verify_connection": false})
				m.rejected(http.StatusBadRequest, logical.UpdateOperation, "config/huge", data, `field "`+field+`": is too large`)
			}
		}
	}
}
