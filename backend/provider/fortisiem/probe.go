package fortisiem

import (
	"context"
	"net/http"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

var (
	_ provider.Prober    = vendor{}
	_ provider.User      = (*connection)(nil)
	_ provider.Inspector = (*connection)(nil)
)

// factSubject is the name of the fact that Inspect reads.
const factSubject = "token_subject"

// ProbeFacts implements [provider.Prober]. The first credential of a probe is the token of its login, so that the
// answer to a token request is observed there.
func (vendor) ProbeFacts() []provider.Fact {
	return []provider.Fact{
		{
			Step: provider.StepLogin, Name: "expires_in_unit", Status: provider.FactInferred,
			Contract: "expires_in is in seconds, and the default is 15 minutes or one day.", Observe: provider.ObserveMember("oauth token", "expires_in"),
			Expected: []string{"900", "86400"},
		},
		{
			Step: provider.StepLogin, Name: "answer_names", Status: provider.FactInferred,
			Contract: "The answer has access_token; some clients expect token.", Observe: observeNames, Expected: []string{"access_token"},
		},
		{
			Step: provider.StepLogin, Name: "token_form", Status: provider.FactInferred,
			Contract: "Access tokens are JWTs.", Observe: observeForm, Expected: []string{"jwt"},
		},
		{
			Step: provider.StepLogin, Name: "token_claims", Status: provider.FactUnknown, Contract: "The claims of an access token: exp and iat may be missing.",
			Observe: observeClaims,
		},
		{
			Step: provider.StepLogin, Name: "json_content_type", Status: provider.FactUnknown,
			Contract: "The content type of JSON bodies.", Observe: observeType,
		},
		{
			Step: provider.StepInspect, Name: factSubject, Status: provider.FactInferred,
			Contract: "The claim sub of an access token is the client id.", Observe: provider.ObserveInspected(factSubject), Expected: []string{"client_id"},
		},
		{
			Step: provider.StepSecond, Name: "single_issue", Status: provider.FactUnknown,
			Contract: "A client gets more than one token, or only one.", Observe: provider.ObserveStatus("oauth token"),
		},
		{
			Step: provider.StepRevoke, Name: "revoke_url_status", Status: provider.FactUnknown,
			Contract: "The status of the operator's revoke_url.", Observe: provider.ObserveStatus("revoke_url"),
		},
		{
			Step: provider.StepUseRevoked, Name: "ended_token_status", Status: provider.FactConfirmed,
			Contract: "A token that has ended is answered with 401.", Observe: provider.ObserveStatus("verify"), Expected: []string{"401"},
		},
		{
			Step: provider.StepUseRevoked, Name: "unauthorized_body", Status: provider.FactUnknown,
			Contract: "The body of that answer: JSON like other errors, plain text, or none.", Observe: provider.ObserveBody("verify"),
		},
		{
			Step: provider.StepRevokeAgain, Name: "revoke_url_unknown_status", Status: provider.FactUnknown,
			Contract: "The status of the operator's revoke_url for a token that has ended.", Observe: provider.ObserveStatus("revoke_url"),
		},
	}
}

// observeNames returns the name of the member that holds the token.
func observeNames(seen provider.Observation) string {
	answer, ok := seen.Last("oauth token")
	for _, name := range []string{"access_token", "token"} {
		if _, has := answer.Members[name]; ok && has {
			return name
		}
	}
	return ""
}

// observeClaims returns the names of the token's claims, or "opaque".
func observeClaims(seen provider.Observation) string {
	answer, _ := seen.Last("oauth token")
	form := answer.Members[observeNames(seen)]
	if form == "string" {
		return "opaque"
	}
	return form
}

// observeForm returns the form of the token.
func observeForm(seen provider.Observation) string {
	form, _, _ := strings.Cut(observeClaims(seen), "(")
	return form
}

// observeType returns the content type of the answer.
func observeType(seen provider.Observation) string {
	answer, _ := seen.Last("oauth token")
	return answer.MediaType
}

// Use implements [provider.User]. It reads verify_path with the token.
func (c *connection) Use(ctx context.Context, credential *provider.Credential) (bool, error) {
	works, err := c.api.works(ctx, credential.Token)
	if httpclient.StatusOf(err) == http.StatusForbidden {
		return false, nil
	}
	return works, err
}

// Inspect implements [provider.Inspector]. It reads the token itself, and sends no request.
func (c *connection) Inspect(_ context.Context, credential *provider.Credential) (map[string]string, error) {
	facts := map[string]string{}
	switch subject := parseClaims(credential.Token).subject; subject {
	case "":
	case c.settings.clientID:
		facts[factSubject] = "client_id"
	default:
		facts[factSubject] = "another name"
	}
	return facts, nil
}
