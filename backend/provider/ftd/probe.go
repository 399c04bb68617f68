package ftd

import (
	"context"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const opSystem = "ftd: operational/systeminfo/default"

var (
	_ provider.Prober    = vendor{}
	_ provider.User      = (*connection)(nil)
	_ provider.Inspector = (*connection)(nil)
)

// Names of the facts that Inspect reads.
const (
	factListed   = "custom_tokens_in_sessions"
	factListName = "custom_token_session_name"
)

// ProbeFacts implements [provider.Prober].
func (vendor) ProbeFacts() []provider.Fact {
	return []provider.Fact{
		{
			Step: provider.StepLogin, Name: "api_versions", Status: provider.FactConfirmed, Contract: "GET /api/versions is answered with 200.",
			Observe: provider.ObserveStatus("versions"), Expected: []string{"200"},
		},
		{
			Step: provider.StepIssue, Name: "desired_expires_in", Status: provider.FactConfirmed, Contract: "A custom token lives as long as requested.",
			Observe: provider.ObserveLifetime, Expected: []string{"as requested"},
		},
		{
			Step: provider.StepIssue, Name: "no_refresh_members", Status: provider.FactUnknown,
			Contract: "refresh_token of an answer without a refresh token is absent, null or empty.", Observe: provider.ObserveMember("custom_token", "refresh_token"),
		},
		{
			Step: provider.StepUse, Name: "live_token_status", Status: provider.FactConfirmed, Contract: "A request with a live token is answered with 200.",
			Observe: provider.ObserveStatus("object/users"), Expected: []string{"200"},
		},
		{
			Step: provider.StepInspect, Name: factListed, Status: provider.FactInferred,
			Contract: "activeusersessions lists custom tokens by their jti.", Observe: provider.ObserveInspected(factListed), Expected: []string{"by jti"},
		},
		{
			Step: provider.StepInspect, Name: factListName, Status: provider.FactUnknown,
			Contract: "userName of a listed custom token is its user or its subject.", Observe: provider.ObserveInspected(factListName),
		},
		{
			Step: provider.StepRevoke, Name: "revoke_status", Status: provider.FactConfirmed, Contract: "A revocation answers 200.",
			Observe: provider.ObserveStatus("revoke_token"), Expected: []string{"200"},
		},
		{
			Step: provider.StepUseRevoked, Name: "ended_token_status", Status: provider.FactUnknown,
			Contract: "A revoked token is answered with 401 or 408: the sources disagree.", Observe: provider.ObserveStatus("object/users"),
		},
		{
			Step: provider.StepRevokeAgain, Name: "revoke_unknown_token", Status: provider.FactUnknown,
			Contract: "The status of the revocation of a token that was revoked.", Observe: provider.ObserveStatus("revoke_token"),
		},
		{
			Step: provider.StepMarker, Name: "revoke_unknown_subject", Status: provider.FactUnknown,
			Contract: "The status of the revocation of a subject without a token.", Observe: provider.ObserveStatus("revoke_token by subject"),
		},
		{
			Step: provider.StepExpiry, Name: "expired_token_status", Status: provider.FactUnknown,
			Contract: "An expired token is answered with 401 or 408.", Observe: provider.ObserveStatus("object/users"),
		},
	}
}

// Use implements [provider.User]. It reads one user with the token.
func (c *connection) Use(ctx context.Context, credential *provider.Credential) (bool, error) {
	return c.api.accepts(ctx, credential.Token)
}

// Inspect implements [provider.Inspector]. It reads the device's software with the token, and looks for the token in
// the list of sessions.
func (c *connection) Inspect(ctx context.Context, credential *provider.Credential) (map[string]string, error) {
	facts := map[string]string{provider.InspectedProduct: c.api.systemInformation(ctx, credential.Token)}
	sessions, refusal, err := c.listSessions(ctx)
	if err != nil || refusal != nil {
		return facts, err // the device does not list sessions, which the answers show
	}
	subject, _ := credential.Data["subject"].(string)
	id := tokenID(credential.Token)
	facts[factListed] = "not listed"
	for _, session := range sessions {
		byID, bySubject := id != "" && session.id == id, session.userName == subject
		if !byID && !bySubject {
			continue
		}
		facts[factListed], facts[factListName] = "by subject", "user"
		if byID {
			facts[factListed] = "by jti"
		}
		if bySubject {
			facts[factListName] = "subject"
		}
		break
	}
	return facts, nil
}

// systemInformation returns the device's model and version, or "" if the user may not read them.
func (c *client) systemInformation(ctx context.Context, access string) string {
	response, err := c.http.Do(ctx, httpclient.Request{
		Op: opSystem, Path: c.base() + "/operational/systeminfo/default", Header: authorization(access),
		Idempotent: true, Secrets: []string{c.password, access},
	})
	if err != nil || !response.OK() {
		return ""
	}
	var answer struct {
		Version string `json:"softwareVersion"`
		Model   string `json:"platformModel"`
	}
	if response.Decode(&answer) != nil {
		return ""
	}
	return strings.TrimSpace(answer.Model + " " + answer.Version)
}
