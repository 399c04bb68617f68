package fortianalyzer

import (
	"context"
	"encoding/json"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Renew uses the session once, which restarts its idle timeout. The vendor decides the new expiry, so Renew ignores
// the requested lifetime.
func (c *connection) Renew(ctx context.Context, content json.RawMessage, _ time.Duration) (time.Time, error) {
	leased, err := parseHandle(content)
	if err != nil {
		return time.Time{}, err
	}
	result, err := c.api.status(ctx, leased.Session)
	switch {
	case err != nil:
		return time.Time{}, err
	case result.denied():
		// Under both meanings of the code, the session is of no use to the lease's holder.
		return time.Time{}, result.failure(provider.ClassNotFound,
			"the session has ended, or the API user has lost its permission to read the system status",
			"read a new credential; if sessions end early, compare idle_timeout in config/"+c.api.config+" with the instance's idle_timeout_api")
	case result.code != codeOK:
		return time.Time{}, result.unexpected()
	}
	return result.sentAt.Add(c.idle), nil
}
