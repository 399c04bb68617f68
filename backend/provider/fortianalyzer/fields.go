package fortianalyzer

import (
	"time"

	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	fieldUsername    = "username"
	fieldPassword    = "password"
	fieldClientID    = "client_id"
	fieldAuthAddress = "auth_address"
	fieldIdleTimeout = "idle_timeout"
)

const (
	// defaultClientID is the OAuth application of FortiAnalyzer Cloud. Whether the server ignores case is not
	// documented.
	defaultClientID = "FortiAnalyzer"

	// defaultAuthAddress is FortiCloud's OAuth server.
	defaultAuthAddress = "https://customerapiauth.fortinet.com"

	// The documented default and range of idle_timeout_api ("config system admin setting"). They are documented for
	// FortiAnalyzer and FortiManager. That the Cloud editions have the same values is inferred.
	defaultIdleTimeout = 900 * time.Second
	minIdleTimeout     = time.Second
	maxIdleTimeout     = 28800 * time.Second
)

func (vendor) ConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		fieldUsername: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "ID of the FortiCloud IAM API user, from its credential file.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "API user"},
		},
		fieldPassword: {
			Type:         framework.TypeString,
			Required:     true,
			Description:  "Password of the API user, from its credential file.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Password", Sensitive: true},
		},
		fieldClientID: {
			Type:         framework.TypeString,
			Default:      defaultClientID,
			Description:  `OAuth application of the product: "FortiAnalyzer", or "FortiManager" for FortiManager Cloud.`,
			DisplayAttrs: &framework.DisplayAttributes{Name: "Client ID"},
		},
		fieldAuthAddress: {
			Type:         framework.TypeString,
			Default:      defaultAuthAddress,
			Description:  "FortiCloud's OAuth server. The engine sends the password to it.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "OAuth server"},
		},
		fieldIdleTimeout: {
			Type:    framework.TypeDurationSecond,
			Default: int(defaultIdleTimeout / time.Second),
			Description: "Value of the instance's setting idle_timeout_api (1s to 28800s). The instance ends a session that is not used " +
				"for this time. The ttl of a lease is at most this value. If it is larger than the instance's own value, sessions end " +
				"before their leases.",
			DisplayAttrs: &framework.DisplayAttributes{Name: "Idle timeout"},
		},
	}
}

func (vendor) RoleFields() map[string]*framework.FieldSchema { return nil }

func (vendor) ValidateRole(*framework.FieldData) error { return nil }

// idleTimeout returns the value of the field idle_timeout, or its default when fields is nil or the field is absent.
func idleTimeout(fields *framework.FieldData) (time.Duration, error) {
	if fields == nil {
		return defaultIdleTimeout, nil
	}
	value, present, err := fields.GetOkErr(fieldIdleTimeout)
	if err != nil {
		return 0, provider.InvalidField(fieldIdleTimeout, "must be a duration")
	}
	seconds, _ := value.(int)
	if !present {
		return defaultIdleTimeout, nil
	}
	idle := time.Duration(seconds) * time.Second
	if idle < minIdleTimeout || idle > maxIdleTimeout {
		return 0, provider.InvalidField(fieldIdleTimeout, "must be between %s and %s", minIdleTimeout, maxIdleTimeout)
	}
	return idle, nil
}
