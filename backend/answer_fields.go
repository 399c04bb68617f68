package backend

import (
	"github.com/hashicorp/vault/sdk/framework"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// member is a member of an answer that is always there.
func member(kind framework.FieldType, description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: kind, Required: true, Description: description}
}

// configAnswer are the members of the read of a config: its fields that are not secret, except those that only steer
// a request.
func (b *backend) configAnswer() map[string]*framework.FieldSchema {
	answer := b.shownVendorFields(provider.Provider.ConfigFields)
	for name, field := range configFields(nil) {
		if field == nil || field.Query || name == "verify_connection" || name == "leave_behind" {
			continue
		}
		answer[name] = member(field.Type, field.Description)
	}
	return answer
}

// roleAnswer are the members of the read of a role.
func (b *backend) roleAnswer() map[string]*framework.FieldSchema {
	answer := b.shownVendorFields(provider.Provider.RoleFields)
	for name, field := range roleFields() {
		if name != "name" {
			answer[name] = member(field.Type, field.Description)
			answer[name].AllowedValues = field.AllowedValues
		}
	}
	return answer
}

// shownVendorFields are the vendors' fields that are not secret. An answer contains those of its vendor.
func (b *backend) shownVendorFields(schema schemaFunc) map[string]*framework.FieldSchema {
	shown := map[string]*framework.FieldSchema{}
	for name, field := range b.withVendorFields(nil, schema) {
		if !store.IsSensitive(field) {
			shown[name] = &framework.FieldSchema{
				Type: field.Type, Description: field.Description, AllowedValues: field.AllowedValues, DisplayAttrs: field.DisplayAttrs,
			}
		}
	}
	return shown
}

// credentialFields are the members of a leased credential: the engine's, and those of the vendors.
func (b *backend) credentialFields() map[string]*framework.FieldSchema {
	fields := b.withVendorFields(nil, func(vendor provider.Provider) map[string]*framework.FieldSchema {
		return vendor.Capabilities().CredentialFields
	})
	fields["token"] = member(framework.TypeString, "The secret to present to the vendor.")
	fields["token"].DisplayAttrs = &framework.DisplayAttributes{Sensitive: true}
	fields["token_type"] = member(framework.TypeString, "How to present it, such as Bearer.")
	fields["address"] = member(framework.TypeString, "Base URL of the API that accepts it.")
	fields["vendor"] = member(framework.TypeString, "Vendor of the product.")
	fields["credential_id"] = member(framework.TypeString, "The credential in config/<name>/credentials, in the log and in events. "+
		"Readers of a shared role get the same one.")
	fields["expires_at"] = member(framework.TypeString, "When the vendor ends it unless it is renewed (RFC 3339, UTC).")
	return fields
}

// capabilityFields are what info/<vendor> reports.
func capabilityFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"description":             member(framework.TypeString, "The products."),
		"renewal":                 member(framework.TypeString, "What a renewal does at the vendor: none, within_life or extends."),
		"revokes":                 member(framework.TypeBool, "Whether the vendor can end a credential before its expiry."),
		"revocation":              member(framework.TypeString, "What a revocation does at the vendor."),
		"rotates_root":            member(framework.TypeBool, "Whether the engine can rotate the root credential."),
		"root_rotation":           member(framework.TypeString, "How the root credential is replaced."),
		"marker":                  member(framework.TypeString, "The vendor's field that contains the marker; empty if it has none."),
		"max_lifetime":            member(framework.TypeDurationSecond, "The longest lifetime of a credential, in seconds; 0 if no limit is known."),
		"default_max_credentials": member(framework.TypeInt, "Default of max_credentials; 0 is unlimited."),
		"max_credentials":         member(framework.TypeInt, "How many credentials the vendor is known to allow; 0 if no limit is known."),
		"default_sharing":         member(framework.TypeString, "Default of sharing of a role."),
	}
}

// listedConfigFields are the details of a config in the list.
func listedConfigFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"vendor":            member(framework.TypeString, "Vendor of the product."),
		"address":           member(framework.TypeString, "Its address."),
		"retired":           member(framework.TypeBool, "Whether the config is deleted with its last credential."),
		"root_state":        member(framework.TypeString, "State of the root credential: current, in_doubt or previous_not_revoked."),
		"root_expires_at":   member(framework.TypeString, "When the root credential itself expires. Empty if never or unknown."),
		"root_expires_soon": member(framework.TypeBool, "Whether that is within 14 days."),
		"credentials_used":  member(framework.TypeInt, "How many slots are in use."),
		"max_credentials":   member(framework.TypeInt, "How many slots there are; 0 is unlimited."),
	}
}

// listedRoleFields are the details of a role in the list.
func listedRoleFields() map[string]*framework.FieldSchema {
	listed := map[string]*framework.FieldSchema{}
	fields := roleFields()
	for _, name := range []string{"config", "vendor", "ttl", "max_ttl", "sharing", "max_credentials", "max_wait"} {
		listed[name] = member(fields[name].Type, fields[name].Description)
	}
	return listed
}

// listedCredentialFields are the details of a credential in the inventory.
func listedCredentialFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"credential_id":    member(framework.TypeString, "Its ID, as in the answer of the read, the log and events."),
		"role":             member(framework.TypeString, "The role."),
		"purpose":          member(framework.TypeString, "lease, or check for a credential that a check has created."),
		"leases":           member(framework.TypeSlice, "Who holds it: entity_id, display_name, token_accessor, lease_path and times of each lease."),
		"state":            member(framework.TypeString, "issuing, live, revoking, searching, expiring or unreadable."),
		"issued_at":        member(framework.TypeString, "When it was issued."),
		"expires_at":       member(framework.TypeString, "When the vendor ends it."),
		"lease_expires_at": member(framework.TypeString, "When its last lease ends."),
		"occupies_slot":    member(framework.TypeBool, "Whether it counts towards max_credentials."),
		"shared":           member(framework.TypeBool, "Whether several leases can hold it."),
		"holders":          member(framework.TypeInt, "How many leases hold it."),
		"marker":           member(framework.TypeString, "Its name at the vendor."),
		"attempts":         member(framework.TypeInt, "How many revocations have failed."),
		"next_attempt_at":  member(framework.TypeString, "When the next one is due."),
		"last_error":       member(framework.TypeString, "Why the last one failed."),
		"searches":         member(framework.TypeInt, "How many searches for its marker have found nothing."),
		"search_until":     member(framework.TypeString, "Until when it is searched."),
	}
}
