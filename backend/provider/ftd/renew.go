package ftd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
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
	err = c.verifyLogin(ctx)
	if provider.ClassOf(err) == provider.ClassUnauthenticated {
		err = c.verifyEnd(ctx, leased.Token, err)
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.Time{}, &provider.Error{
		Class: provider.ClassNotFound, Op: opUsers,
		Message: "the device no longer accepts this token: it was revoked, or it ended when a sixth session was opened",
		Remedy:  "read a new credential; if this happens again, lower max_credentials so that the device's five sessions suffice",
	}
}

// verifyEnd returns nil if a token has certainly ended, although the device refuses the engine's login: the device answers
// 401 to the token, and lists the API version as one that it knows. Otherwise it returns loginErr, the refusal of the
// login.
func (c *connection) verifyEnd(ctx context.Context, token string, loginErr error) error {
	_, err := c.api.users(ctx, token, "")
	if httpclient.StatusOf(err) != http.StatusUnauthorized {
		return loginErr
	}
	if versions, err := c.api.versions(ctx); err == nil && slices.Contains(versions, c.api.version) {
		return nil
	}
	failure, ok := errors.AsType[*provider.Error](loginErr)
	if !ok {
		return loginErr
	}
	named := *failure // other callers may have the same error
	named.Message = "the device does not accept this token, and whether it has ended cannot be confirmed, because the device refuses " +
		"the engine's own login: " + failure.Message
	return &named
}
