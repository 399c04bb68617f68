// Package lacework exchanges an API key of Lacework FortiCNAPP for short-lived access tokens.
//
// Sources: Fortinet, FortiCNAPP API Reference, "API Keys and Access Tokens"; the vendor's OpenAPI
// document "Lacework API 2.0 Documentation"; the vendor's clients lacework/go-sdk and
// lacework/python-sdk.
//
// The product can neither extend nor revoke a token, and keys are made at its console only. So what bounds
// a token is the life that is asked for when it is minted.
package lacework

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	fieldKeyID      = "key_id"
	fieldSecretKey  = "secret_key"
	fieldSubaccount = "subaccount"
	fieldOrgAccess  = "org_access"

	// maxLifetime is the documented maximum of expiryTime. What the product does above it is not
	// documented, so nothing above it is ever asked for.
	maxLifetime = 86400 * time.Second

	// checkLifetime is the shortest life that a published client is known to ask for. The product's
	// minimum is not documented.
	checkLifetime = 60 * time.Second

	// fallbackCheckLifetime is the documented default, for the case that checkLifetime is below the
	// minimum.
	fallbackCheckLifetime = 3600 * time.Second
)

// New returns the provider of Lacework FortiCNAPP.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider   = vendor{}
	_ provider.Connection = (*connection)(nil)
)

type vendor struct{}

func (vendor) Name() string { return "lacework" }

func (vendor) Description() string { return "Lacework FortiCNAPP: API access tokens" }

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:     provider.RenewalNone,
		MaxLifetime: maxLifetime,
		RevocationNote: "Lacework FortiCNAPP has no call that ends an access token: " +
			"when the lease ends, the token goes on working until expires_at.",
		RotationNote: "API keys are made and deleted at the Lacework FortiCNAPP console only: " +
			"make a new key there, write its key_id and secret_key to config/<name>, then delete the old one.",
	}
}

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldKeyID: {
			Type:         framework.TypeString,
			Description:  "Id of the API key, as shown at the console.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Key ID"},
		},
		fieldSecretKey: {
			Type:         framework.TypeString,
			Description:  "Secret of the API key.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Secret key", Sensitive: true},
		},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldSubaccount: {
			Type: framework.TypeString,
			Description: "Sub-account that applications shall name in the header Account-Name. It is a hint in the answer, " +
				"not a limit of the token. Needs the key of a regular user.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Sub-account"},
		},
		fieldOrgAccess: {
			Type: framework.TypeBool,
			Description: "Whether applications shall send the header Org-Access: true, for data of the whole organisation. It is a " +
				"hint in the answer, not a right of the token. Needs the key of an organisation administrator.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Organisation access"},
		},
	}
}

func (vendor) ValidateRole(role *framework.FieldData) error {
	_, err := parseScope(role)
	return err
}

func (vendor) Open(config provider.Config) (provider.Connection, error) {
	keyID, err := headerField(config.Fields, fieldKeyID)
	if err != nil {
		return nil, err
	}
	secretKey, err := headerField(config.Fields, fieldSecretKey)
	if err != nil {
		return nil, err
	}
	options := httpclient.FromConfig(config)
	options.Address = expandAccount(config.Address)
	http, err := httpclient.New(options)
	if err != nil {
		return nil, err
	}
	return &connection{
		keyID:   keyID,
		address: http.BaseURL(),
		api:     &client{http: http, config: config.Name, keyID: keyID, secretKey: secretKey},
	}, nil
}

// accountPattern is a bare account name: one DNS label.
var accountPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// expandAccount completes a bare account name to its host. Anything with a dot, colon or slash is a host or
// URL already: accounts exist under <account>.lacework.net, <account>.<cluster>.lacework.net and more.
func expandAccount(address string) string {
	account := strings.TrimSpace(address)
	if accountPattern.MatchString(account) && !strings.EqualFold(account, "localhost") {
		return account + ".lacework.net"
	}
	return address
}

// headerField returns a required field whose value can stand in an HTTP header.
func headerField(fields *framework.FieldData, name string) (string, error) {
	value, err := provider.RequiredField(fields, name)
	if err != nil {
		return "", err
	}
	if !httpclient.ValidToken(value) {
		return "", provider.InvalidField(name, "must be printable ASCII without spaces or line breaks")
	}
	return value, nil
}

// scope is what a role says about the headers of later calls.
type scope struct {
	subaccount string
	orgAccess  bool
}

func parseScope(role *framework.FieldData) (scope, error) {
	subaccount, err := provider.StringField(role, fieldSubaccount)
	if err != nil {
		return scope{}, err
	}
	orgAccess, err := provider.BoolField(role, fieldOrgAccess)
	if err != nil {
		return scope{}, err
	}
	if !httpclient.ValidToken(subaccount) {
		return scope{}, provider.InvalidField(fieldSubaccount, "must be printable ASCII without spaces or line breaks")
	}
	if subaccount != "" && orgAccess {
		// The product would ignore Account-Name without a word.
		return scope{}, provider.InvalidField(fieldSubaccount, "has no effect together with %s=true", fieldOrgAccess)
	}
	return scope{subaccount: subaccount, orgAccess: orgAccess}, nil
}

// connection implements provider.Connection. It has no state but its HTTP connections.
type connection struct {
	keyID   string
	address string
	api     *client
}

func (c *connection) MaxLifetime() time.Duration { return maxLifetime }

// Check mints a token of the shortest life and reads with it who we are.
func (c *connection) Check(ctx context.Context) (*provider.CheckResult, error) {
	life := checkLifetime
	minted, err := c.api.issueToken(ctx, life)
	if httpclient.StatusOf(err) == http.StatusBadRequest {
		// Either the key is wrong or the life is below a minimum that nobody documents. The default life
		// tells.
		life = fallbackCheckLifetime
		minted, err = c.api.issueToken(ctx, life)
	}
	if err != nil {
		return nil, err
	}
	result := &provider.CheckResult{
		Identity: c.keyID,
		Details:  map[string]any{"key_id": c.keyID},
		Warnings: []string{fmt.Sprintf("this check minted a token that nobody holds and that works for another %s: "+
			"the product cannot revoke it", life)},
	}
	profile, err := c.api.userProfile(ctx, minted.token)
	switch {
	case provider.ClassOf(err) == provider.ClassForbidden:
		// The key has proved itself by the token; that its user may not read a profile is no fault.
		result.Warnings = append(result.Warnings, "the key works, but its user may not read the user profile")
	case err != nil:
		return nil, err
	case profile != nil:
		if profile.Username != "" {
			result.Identity = profile.Username
		}
		result.Details["url"] = profile.URL
		result.Details["org_account"] = profile.OrgAccount
		result.Details["org_admin"] = profile.OrgAdmin
		result.Details["accounts"] = len(profile.Accounts)
	}
	return result, nil
}

// Issue mints a token.
func (c *connection) Issue(ctx context.Context, request provider.IssueRequest) (*provider.Credential, error) {
	hints, err := parseScope(request.Role)
	if err != nil {
		return nil, err
	}
	if request.Lifetime < time.Second || request.Lifetime > maxLifetime {
		return nil, &provider.Error{
			Class: provider.ClassInvalid, Op: opIssue, Field: "ttl",
			Message: fmt.Sprintf("a token lives between 1s and %s", maxLifetime),
		}
	}
	minted, err := c.api.issueToken(ctx, request.Lifetime)
	if err != nil {
		return nil, err
	}
	end, err := minted.expiry(request.Lifetime)
	if err != nil {
		return nil, err
	}
	credential := &provider.Credential{
		Token:     minted.token,
		TokenType: "Bearer",
		Address:   c.address,
		Data:      map[string]any{},
		Handle:    json.RawMessage(`{"v":1}`), // nothing can be done to a token, so nothing is needed for it
		ExpiresAt: end,
	}
	if hints.subaccount != "" {
		credential.Data["account_name"] = hints.subaccount
	}
	if hints.orgAccess {
		credential.Data["org_access"] = true
	}
	return credential, nil
}

// Logout frees the HTTP connections; the product knows no login that could be ended.
func (c *connection) Logout(context.Context) error {
	c.api.http.Close()
	return nil
}

// Close frees the HTTP connections.
func (c *connection) Close() { c.api.http.Close() }
