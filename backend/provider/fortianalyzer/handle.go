package fortianalyzer

import (
	"encoding/json"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// handleVersion is the version of the layout of handle.
const handleVersion = 1

// handle is what renewing and revoking a session need. It contains no expiry: each use of the session moves the
// expiry, and the engine does not see the application's uses.
type handle struct {
	Version int    `json:"v"`
	Session string `json:"session"`
}

// parseHandle reads a stored handle. A handle that is malformed or has another version is ClassUnknown.
func parseHandle(content json.RawMessage) (handle, error) {
	return provider.ParseHandle("fortianalyzer", content, handleVersion, func(h handle) bool { return h.Session != "" })
}
