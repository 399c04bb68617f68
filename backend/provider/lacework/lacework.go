// Package lacework exchanges an API key of Lacework FortiCNAPP for short-lived access tokens.
//
// Sources: Fortinet, FortiCNAPP API Reference, "API Keys and Access Tokens"; the vendor's OpenAPI document "Lacework
// API 2.0 Documentation"; the vendor's clients lacework/go-sdk and lacework/python-sdk.
//
// The product can neither extend nor revoke a token, and only its console can create keys. The only limit of a token
// is therefore the lifetime that the request for it names.
package lacework

import (
	"context"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// maxLifetime is the documented maximum of expiryTime. What the product does above it is not documented, so the driver
// never requests more.
const maxLifetime = 86400 * time.Second

// New returns the provider of Lacework FortiCNAPP.
func New() provider.Provider { return vendor{} }

var (
	_ provider.Provider   = vendor{}
	_ provider.Connection = (*connection)(nil)
)

// vendor implements provider.Provider.
type vendor struct{}

func (vendor) Name() string { return "lacework" }

func (vendor) Description() string { return "Lacework FortiCNAPP: API access tokens" }

func (vendor) Capabilities() provider.Capabilities {
	return provider.Capabilities{
		Renewal:     provider.RenewalNone,
		MaxLifetime: maxLifetime,
		Alternatives: []provider.Alternative{
			{Fields: []string{fieldSubaccount}, Replaces: []string{fieldOrgAccess}},
			{Fields: []string{fieldOrgAccess}, Replaces: []string{fieldSubaccount}},
		},
		CheckIssues: true, // each login is a token
		RevocationNote: "Lacework FortiCNAPP has no call that revokes an access token: " +
			"when the lease ends, the token still works until expires_at.",
		CredentialFields: map[string]*framework.FieldSchema{
			"account_name": {Type: framework.TypeString, Description: "Value for the header Account-Name, if the role has a subaccount."},
			"org_access":   {Type: framework.TypeBool, Description: "True if the role has org_access: send the header Org-Access: true."},
		},
		ConfigExample: "address=customer.lacework.net key_id=KEY-ID secret_key=@secret-key",
		RoleExample:   "subaccount=emea",
		RotationNote: "Only the Lacework FortiCNAPP console can create and delete API keys: " +
			"create a new key there, write its key_id and secret_key to config/<name>, then delete the old key.",
	}
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
		api: &client{
			http: http, config: config.Name, keyID: keyID, secretKey: secretKey, clock: config.Clock,
			rejected: config.AuthBackoff(rejectedKeyBackoff, rejectedKeyBackoff),
		},
	}, nil
}

// accountPattern matches a bare account name, which is one DNS label.
var accountPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// expandAccount returns the host of a bare account name, and any other address unchanged. An address with a dot, a
// colon or a slash is already a host or a URL: the product has hosts of the forms <account>.lacework.net,
// <account>.<cluster>.lacework.net and others.
func expandAccount(address string) string {
	account := strings.TrimSpace(address)
	if accountPattern.MatchString(account) && !strings.EqualFold(account, "localhost") {
		return account + ".lacework.net"
	}
	return address
}

// connection implements provider.Connection. Its only state is its HTTP connections.
type connection struct {
	keyID   string
	address string
	api     *client
}

// MaxLifetime returns the documented maximum.
func (c *connection) MaxLifetime() time.Duration { return maxLifetime }

// Logout closes the HTTP connections. The product has no login to end.
func (c *connection) Logout(context.Context) error {
	c.api.http.Close()
	return nil
}

// Close closes the HTTP connections.
func (c *connection) Close() { c.api.http.Close() }
