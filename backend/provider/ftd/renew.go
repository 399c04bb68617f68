package ftd

import (
	"context"
	"encoding/json"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Renew implements [provider.Renewer]. It checks that the device still accepts the token and returns the expiry
// that was fixed when the token was issued. ClassNotFound means that the device has ended the token.
func (c *connection) Renew(ctx context.Context, content json.RawMessage, _ time.Duration) (time.Time, error) {
	leased, err := parseHandle(content)
	if err != nil {
		return time.Time{}, err
	}
	accepted, err := c.api.accepts(ctx, leased.Token)
	if err != nil {
		return time.Time{}, err
	}
	if accepted {
		return leased.ExpiresAt, nil
	}
	// The device gives the same answer to an API version that it does not know. The answer means that the token
	// has ended only if the engine's own login works under this API version.
	if err := c.verifyLogin(ctx); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, &provider.Error{
		Class: provider.ClassNotFound, Op: opUsers,
		Message: "the device no longer accepts this token: it was revoked, or it ended when a sixth session was opened",
		Remedy:  "read a new credential; if this happens again, lower max_credentials so that the device's five sessions suffice",
	}
}
