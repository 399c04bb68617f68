package trend

import (
	"encoding/json"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// handleVersion is the version of the layout of handle.
const handleVersion = 1

// handle identifies a key for Renew and Revoke. The name proves that the key with this ID is the leased one,
// and an operator can find the key by it.
type handle struct {
	Version int    `json:"v"`
	ID      int    `json:"id"`
	Name    string `json:"name"`
	// Tenant is where the key was created; see [tenantOf]. It is empty in handles of earlier versions
	// of the plugin and of managers that do not identify the tenant.
	Tenant string `json:"tenant,omitempty"`
}

func parseHandle(raw json.RawMessage) (handle, error) {
	return provider.ParseHandle("trend", raw, handleVersion, func(h handle) bool { return h.ID > 0 })
}
