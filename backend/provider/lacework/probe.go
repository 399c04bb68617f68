package lacework

import (
	"context"
	"net/http"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

var (
	_ provider.Prober = vendor{}
	_ provider.User   = (*connection)(nil)
)

// ProbeFacts implements [provider.Prober].
func (vendor) ProbeFacts() []provider.Fact {
	return []provider.Fact{
		{
			Step: provider.StepIssue, Name: "expiry_time", Status: provider.FactConfirmed, Contract: "A token lives as long as expiryTime says.",
			Observe: provider.ObserveLifetime, Expected: []string{"as requested"},
		},
		{
			Step: provider.StepIssue, Name: "success_status", Status: provider.FactInferred,
			Contract: "An issued token is answered with 201; the vendor's own mock says 200.", Observe: provider.ObserveStatus("access token"), Expected: []string{"201"},
		},
		{
			Step: provider.StepIssue, Name: "token_form", Status: provider.FactUnknown,
			Contract: "Tokens are opaque or JWTs.", Observe: provider.ObserveMember("access token", "token"),
		},
		{
			Step: provider.StepUse, Name: "user_profile", Status: provider.FactUnknown,
			Contract: "UserProfile answers 200 with data, or 204.", Observe: provider.ObserveStatus("user profile"),
		},
		{
			Step: provider.StepUse, Name: "org_account", Status: provider.FactInferred, Contract: "orgAccount of UserProfile is a property of the account.",
			Observe: provider.ObserveMember("user profile", "data.0.orgAccount"), Expected: []string{"false", "true"},
		},
		{
			Step: provider.StepSecond, Name: "minimum_expiry", Status: provider.FactUnknown,
			Contract: "The smallest expiryTime: 20 seconds are accepted, or refused.", Observe: provider.ObserveStatus("access token"),
		},
		{
			Step: provider.StepExpiry, Name: "expired_token_status", Status: provider.FactInferred,
			Contract: "An expired token is answered with 403, perhaps with 401.", Observe: provider.ObserveStatus("user profile"), Expected: []string{"403"},
		},
		{
			Step: provider.StepExpiry, Name: "error_shape", Status: provider.FactInferred, Contract: "An error is a JSON object with message.",
			Observe: provider.ObserveBody("user profile"), Expected: []string{"application/json with message"},
		},
	}
}

// Use implements [provider.User]. It reads the user profile with the token.
func (c *connection) Use(ctx context.Context, credential *provider.Credential) (bool, error) {
	_, err := c.api.userProfile(ctx, credential.Token)
	switch httpclient.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return false, nil
	}
	return err == nil, err
}
