// Package fortisiem exchanges the client id and secret of a FortiSIEM API token for short-lived access
// tokens.
//
// Sources: Fortinet, FortiSIEM 7.5.1 User Guide, "API Token"; the vendor's OpenAPI documents "FortiSIEM
// Public API" 7.5.1; public clients of that API (kboykov/n8n-nodes-fortisiem, ftnt-dspille/pyfsr,
// ftnt-dspille/fortinet-fortisiemv2).
//
// How long an access token lives is set in the product's GUI for each client, and no request can change it.
// The product documents no call that ends a token, lengthens it, or changes a client. What the sources leave
// open or contradict each other about is a field of the config here.
package fortisiem

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// New returns the provider of FortiSIEM.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider           = vendor{}
	_ provider.Connection         = (*connection)(nil)
	_ provider.Revoker            = (*connection)(nil)
	_ provider.ConditionalRevoker = (*connection)(nil)
)

type vendor struct{}

func (vendor) Name() string { return "fortisiem" }

func (vendor) Description() string {
	return "FortiSIEM 7.5.1 and later: OAuth access tokens of the public REST API"
}

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:          provider.RenewalNone,
		LifetimeByVendor: true,
		Revokes:          true, // of those configs that name a revoke_url: see CanRevoke
		// Every access token that is leased is sent there.
		AddressFields: []string{fieldRevokeURL},
		RevocationNote: "FortiSIEM documents no call that ends an access token: without revoke_url in the config, " +
			"the token goes on working until expires_at when its lease ends.",
		RotationNote: "Client secrets are reset in the FortiSIEM GUI only (Admin > Settings > System > API Token): " +
			"reset the secret there, or make a new client, and write client_id and client_secret to config/<name>.",
	}
}

func (vendor) ConfigFields() map[string]*framework.FieldSchema { return configFields() }

// RoleFields are none: a request for a token can ask for nothing.
func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{}
}

func (vendor) ValidateRole(*framework.FieldData) error { return nil }

func (vendor) Open(config provider.Config) (provider.Connection, error) {
	settings, err := parseSettings(config.Fields)
	if err != nil {
		return nil, err
	}
	http, err := httpclient.New(httpclient.FromConfig(config))
	if err != nil {
		return nil, err
	}
	revocation, err := openHook(config, http.BaseURL(), settings)
	if err != nil {
		http.Close()
		return nil, err
	}
	return &connection{
		clock:      config.Clock,
		settings:   settings,
		api:        &client{http: http, config: config.Name, settings: settings},
		revocation: revocation,
		turns:      tokenLimiter{clock: config.Clock},
		refusals:   provider.AuthBackoff{Initial: refusalMemory, KeepRetryAfter: true},
	}, nil
}

// connection implements provider.Connection.
type connection struct {
	clock      provider.Clock
	settings   *settings
	api        *client
	revocation *hook // nil without revoke_url

	turns    tokenLimiter
	refusals provider.AuthBackoff // of the pair
}

// MaxLifetime is unknown: it is set in the GUI, and the API does not tell.
func (c *connection) MaxLifetime() time.Duration { return 0 }

// CanRevoke reports whether the config names a revoke_url.
func (c *connection) CanRevoke() bool { return c.revocation != nil }

// Check exchanges the stored pair for a token and reads with it. It takes a turn like any other exchange. The
// token is ended again where that is possible; where it is not, the result says how long it lives.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	minted, err := c.exchange(ctx)
	if err != nil {
		return nil, err
	}
	expiry, expiryErr := minted.expiry(c.settings.unit)
	verifyErr := c.api.verify(ctx, minted.token)
	endErr := c.revokeUnusable(ctx, minted.token)
	if verifyErr != nil {
		return nil, verifyErr
	}
	if expiryErr != nil {
		return nil, expiryErr
	}
	result := &provider.CheckResult{
		Identity: c.settings.clientID,
		Details: map[string]any{
			"client_id":             c.settings.clientID,
			"access_token_lifetime": expiry.lifetime.String(),
			"lifetime_known_from":   expiry.source,
		},
	}
	if minted.claims.subject != "" {
		result.Identity = minted.claims.subject
	}
	switch {
	case endErr != nil:
		result.Warnings = append(result.Warnings, "the access token of this check could not be ended: "+endErr.Error())
	case c.revocation == nil:
		result.Warnings = append(result.Warnings, fmt.Sprintf(
			"this check made an access token that nobody holds and that works for another %s: the product cannot end it", expiry.lifetime))
	}
	return result, nil
}

// revokeUnusable ends the token of a check, if there is a way.
func (c *connection) revokeUnusable(ctx context.Context, token string) error {
	if c.revocation == nil {
		return nil
	}
	return c.endToken(ctx, token)
}

// Issue exchanges the pair for a token. The wished lifetime cannot be told to the product; a shorter life
// ends the lease earlier, and the answer says so.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	if request.Lifetime < time.Second {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opExchange, Field: "ttl", Message: "must be at least one second",
		}
	}
	minted, err := c.exchange(ctx)
	if err != nil {
		return nil, err
	}
	expiry, err := minted.expiry(c.settings.unit)
	if err != nil {
		return nil, err
	}
	credential := &provider.Credential{
		Token:     minted.token,
		TokenType: minted.tokenType,
		Address:   c.api.http.BaseURL(),
		Data:      map[string]any{},
		Handle:    newHandle(minted.token),
		ExpiresAt: expiry.at,
	}
	if expiry.lifetime < request.Lifetime {
		credential.Warnings = append(credential.Warnings, fmt.Sprintf(
			"the access token lives %s and its lease ends with it: its life is the client's Access Token Expiry in the FortiSIEM GUI", expiry.lifetime))
	}
	if minted.rotated {
		credential.Warnings = append(credential.Warnings,
			"the product answered with a new refresh token, which is not kept: the stored one may not work again")
	}
	return credential, nil
}

// exchange gets a token as soon as the product's limits allow it. A refusal for coming too early is definite
// and passes by itself, so it is waited out once; every other refusal is final, and remembered.
func (c *connection) exchange(ctx context.Context) (*issuedToken, error) {
	for attempt := 1; ; attempt++ {
		if err := c.refusals.Err(c.clock.Now()); err != nil {
			return nil, err
		}
		if err := c.turns.wait(ctx); err != nil {
			return nil, err
		}
		// Asked again, because others may have been refused while this caller waited.
		if err := c.refusals.Err(c.clock.Now()); err != nil {
			return nil, err
		}
		minted, err := c.api.exchange(ctx)
		if err == nil {
			c.refusals.Reset()
			return minted, nil
		}
		if isTooEarly(err) {
			c.turns.postpone()
			if attempt == 1 {
				continue
			}
		}
		c.remember(err)
		return nil, err
	}
}

// Revoke ends the token by the operator's own call. Without one it fails: the token lives.
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
	return c.endToken(ctx, token)
}

// Logout frees the HTTP connections; the product knows no login that could be ended.
func (c *connection) Logout(context.Context) error {
	c.Close()
	return nil
}

// Close frees the HTTP connections.
func (c *connection) Close() {
	c.api.http.Close()
	if c.revocation != nil {
		c.revocation.http.Close()
	}
}
