package fortisiem

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Revoke ends the token with the operator's revoke_url. Without a revoke_url it fails, and the token lives until its
// expiry.
func (c *connection) Revoke(ctx context.Context, raw json.RawMessage) error {
	if c.revocation == nil {
		return &provider.Error{
			Class: provider.ClassInvalid, Op: opRevoke, Field: fieldRevokeURL,
			Message: "is not set, and the product documents no call that ends an access token",
		}
	}
	token, err := parseHandle(raw)
	if err != nil {
		return err
	}
	return c.revokeToken(ctx, token)
}

// revokeToken calls the revoke_url. A 2xx confirms that the token has ended, unless the body is an HTML page, such as
// the page of a login portal. Such a page, 404, 410 and 401 can mean that the token has ended, or that the URL or the
// method is wrong. Then revokeToken uses the token at the product to find out whether it still works.
func (c *connection) revokeToken(ctx context.Context, token string) error {
	response, err := c.revocation.call(ctx, token)
	if err != nil {
		return err
	}
	if response.OK() && !response.IsHTML() {
		return nil
	}
	failure := response.StatusError(errorText(response.Body))
	switch response.Status {
	case http.StatusOK, http.StatusNotFound, http.StatusGone, http.StatusUnauthorized:
		works, err := c.api.works(ctx, token)
		if err != nil {
			return err
		}
		if !works {
			return nil
		}
		failure.Message += ", and the access token still works"
		if failure.Class == provider.ClassNotFound {
			// The token exists, so it is the URL that does not.
			failure.Class = provider.ClassInvalid
		}
	}
	failure.Field = fieldRevokeURL
	failure.Remedy = "correct revoke_url, revoke_method and revoke_body in config/" + c.api.config +
		", or remove revoke_url so that access tokens live until their expiry"
	return failure
}
