package trend

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

var (
	_ provider.Prober    = vendor{}
	_ provider.User      = (*connection)(nil)
	_ provider.Inspector = (*connection)(nil)
)

// Names of the facts that Inspect reads.
const (
	factPrecision  = "expiry_precision"
	factSecretForm = "secret_form"
)

const opWithoutVersion = "trend: describe current API key without api-version"

// ProbeFacts implements [provider.Prober].
func (vendor) ProbeFacts() []provider.Fact {
	return []provider.Fact{
		{
			Step: provider.StepIssue, Name: "create_status", Status: provider.FactInferred, Contract: "A created key is answered with 200.",
			Observe: provider.ObserveStatus("create API key"), Expected: []string{"200"},
		},
		{
			Step: provider.StepIssue, Name: "expiry_in_answer", Status: provider.FactInferred, Contract: "The answer to a creation contains expiryDate.",
			Observe: provider.ObserveMember("create API key", "expiryDate"), Expected: []string{"number"},
		},
		{
			Step: provider.StepIssue, Name: "expiry_date", Status: provider.FactInferred, Contract: "A key lives until its expiryDate.",
			Observe: provider.ObserveLifetime, Expected: []string{"as requested"},
		},
		{
			Step: provider.StepInspect, Name: factPrecision, Status: provider.FactUnknown, Contract: "The precision in which expiryDate is stored.",
			Observe: provider.ObserveInspected(factPrecision),
		},
		{
			Step: provider.StepInspect, Name: "last_sign_in", Status: provider.FactInferred, Contract: "Answers omit lastSignIn, even of used keys.",
			Observe: provider.ObserveMember("describe API key", "lastSignIn"), Expected: []string{"absent"},
		},
		{
			Step: provider.StepInspect, Name: factSecretForm, Status: provider.FactInferred, Contract: "A secret begins with the ID of its key.",
			Observe: provider.ObserveInspected(factSecretForm), Expected: []string{"ID"},
		},
		{
			Step: provider.StepInspect, Name: "missing_api_version", Status: provider.FactUnknown,
			Contract: "The status of a request without the header api-version.", Observe: provider.ObserveStatus("describe current API key without api-version"),
		},
		{
			Step: provider.StepInspect, Name: "search_case", Status: provider.FactUnknown,
			Contract: "Whether a search for a name in capitals finds the key (its ID is in the answer).", Observe: provider.ObserveMember("search API keys", "apiKeys.0.ID"),
		},
		{
			Step: provider.StepRenew, Name: "expiry_extended", Status: provider.FactInferred, Contract: "A later expiryDate extends a key.",
			Observe: provider.ObserveLifetime, Expected: []string{"as requested"},
		},
		{
			Step: provider.StepRevoke, Name: "delete_status", Status: provider.FactInferred, Contract: "A deletion is answered with 204.",
			Observe: provider.ObserveStatus("delete API key"), Expected: []string{"204"},
		},
		{
			Step: provider.StepUseRevoked, Name: "bad_secret_status", Status: provider.FactInferred, Contract: "A deleted key is answered with 401.",
			Observe: provider.ObserveStatus("describe current API key"), Expected: []string{"401"},
		},
		{
			Step: provider.StepMarker, Name: "search_without_match", Status: provider.FactConfirmed, Contract: "A search without a match answers an empty list.",
			Observe: provider.ObserveMember("search API keys", "apiKeys"), Expected: []string{"list"},
		},
		{
			Step: provider.StepRenewExpired, Name: "extend_expired_key", Status: provider.FactUnknown,
			Contract: "The status of a later expiryDate for an expired key.", Observe: provider.ObserveStatus("modify API key"),
		},
		{
			Step: provider.StepRevokeExpired, Name: "expired_keys", Status: provider.FactUnknown,
			Contract: "An expired key stays until it is deleted, or is purged.", Observe: provider.ObserveStatus("delete API key"),
		},
	}
}

// Use implements [provider.User]. It reads the key with its own secret.
func (c *connection) Use(ctx context.Context, credential *provider.Credential) (bool, error) {
	_, err := c.api.withAuth(keyAuth(credential.Token)).describeCurrentKey(ctx)
	switch httpclient.StatusOf(err) {
	case http.StatusUnauthorized, http.StatusForbidden:
		return false, nil
	}
	return err == nil, err
}

// Inspect implements [provider.Inspector]. It reads the key with the management key, searches it by its name in
// capitals, and reads it with its own secret and without api-version.
func (c *connection) Inspect(ctx context.Context, credential *provider.Credential) (map[string]string, error) {
	id, _ := credential.Data["api_key_id"].(int)
	key, err := c.api.describeKey(ctx, id)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{factPrecision: precisionOf(key), factSecretForm: "another form"}
	if strings.HasPrefix(credential.Token, strconv.Itoa(id)+":") {
		facts[factSecretForm] = "ID"
	}
	if _, err := c.api.findKeys(ctx, strings.ToUpper(key.KeyName)); err != nil {
		return facts, err
	}
	_, err = c.api.http.Do(ctx, httpclient.Request{
		Op: opWithoutVersion, Path: "/apikeys/current", Header: keyAuth(credential.Token).header,
		Idempotent: true, Secrets: append([]string{credential.Token}, c.api.auth.secrets...),
	})
	return facts, err
}

// precisionOf returns the precision of a stored expiry. The driver requests whole seconds, so a finer precision does not
// show.
func precisionOf(key *apiKey) string {
	const dayMillis = 24 * 60 * 60 * 1000
	switch {
	case !key.expires():
		return "not stored"
	case *key.ExpiryDate%dayMillis == 0:
		return "start of the day"
	case (*key.ExpiryDate+1)%dayMillis == 0:
		return "end of the day"
	}
	return "second or finer"
}
