package lacework

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// Issue requests a token with the lifetime of the request.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	hints, err := parseScope(request.Role)
	if err != nil {
		return nil, err
	}
	if request.Lifetime < time.Second || request.Lifetime > maxLifetime {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opIssue, Field: "ttl",
			Message: fmt.Sprintf("must be between 1s and %s, the lifetimes that the product accepts", maxLifetime),
		}
	}
	issued, err := c.api.issueToken(ctx, request.Lifetime)
	if err != nil {
		return nil, err
	}
	end, err := issued.expiry(request.Lifetime)
	if err != nil {
		return nil, err
	}
	credential := c.credential(issued, end)
	if hints.subaccount != "" {
		credential.Data["account_name"] = hints.subaccount
	}
	if hints.orgAccess {
		credential.Data["org_access"] = true
	}
	return credential, nil
}

// credential returns the credential for a token that ends at end.
func (c *connection) credential(issued *issuedToken, end time.Time) *provider.Credential {
	return &provider.Credential{
		Token:     issued.token,
		TokenType: "Bearer",
		Address:   c.address,
		Data:      map[string]any{},
		Handle:    json.RawMessage(`{"v":1}`), // a token can be neither renewed nor revoked, so nothing else is needed
		ExpiresAt: end,
	}
}
