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
}

func parseHandle(raw json.RawMessage) (handle, error) {
	return provider.ParseHandle("trend", raw, handleVersion, func(h handle) bool { return h.ID > 0 })
}
