package trend

import (
	"encoding/json"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// handleVersion is the version of the layout of handle.
const handleVersion = 1

// handle is what renewing and revoking a key need. The name is for people who read the ledger.
type handle struct {
	Version int    `json:"v"`
	ID      int    `json:"id"`
	Name    string `json:"name"`
}

func parseHandle(content json.RawMessage) (handle, error) {
	return provider.ParseHandle("trend", content, handleVersion, func(h handle) bool { return h.ID > 0 })
}
