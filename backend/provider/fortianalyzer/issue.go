package fortianalyzer

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// tokenType shows that the token is not a bearer token: applications send it in the member "session" of each call.
const tokenType = "session"

// Issue opens a session and verifies that it can be used: the instance also opens sessions for a user without
// permissions.
//
// The vendor has no call that chooses the lifetime of a session. An unused session lives for the idle timeout, so that
// is its expiry even if the request asks for less. The lease ends it earlier.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second || request.Lifetime > c.idle {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opLogin, Field: "ttl",
			Message: fmt.Sprintf("must be between 1s and the idle timeout, %s, because an unused session lives no longer", c.idle),
		}
	}
	opened, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	status, err := c.verify(ctx, opened)
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(handle{handleVersion, opened})
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Op: opLogin, Message: "the handle cannot be written as JSON", Err: err}
	}
	return &provider.Credential{
		Token:     opened,
		TokenType: tokenType,
		Address:   c.api.instance.BaseURL(),
		Data:      map[string]any{"session": opened, "url": c.api.instance.BaseURL() + rpcPath},
		Handle:    content,
		ExpiresAt: status.sentAt.Add(c.idle),
		// Each call of the application moves the expiry.
		ExpiryNotEnforced: true,
	}, nil
}
