// Package provider is the contract between the engine and the vendors.
//
// The engine (package backend) knows Vault: storage, leases, TTLs and roles. A vendor package, also called a
// driver, knows the API of one product. The conformance suite in package providertest proves each statement
// about implementations in this package, for every vendor.
//
// A driver implements [Provider] and [Connection], and the optional abilities that its vendor has: [Renewer],
// [Revoker], [ConditionalRevoker], [MarkerRevoker], [Lister], [RoleChecker], [Bootstrapper], [RootRotator] and
// [RootRevoker].
package provider

import (
	"time"

	"github.com/hashicorp/vault/sdk/framework"
)

// Provider describes one vendor and opens connections to it. Each mount has an instance of its own. It keeps no
// state except for what its open connections share, such as a login of several configs. Implementations are safe
// for concurrent use.
type Provider interface {
	// Name is the value of the config field "vendor". It is in lower case and permanently stable.
	Name() string

	// Description is one line for operators: the vendor's name of the product.
	Description() string

	// Capabilities describes what the vendor's API can do. The result is constant.
	Capabilities() Capabilities

	// ConfigFields are the fields that this vendor adds to config/<name>. DisplayAttrs.Sensitive marks a
	// secret: the engine stores it, passes it to Open, and never shows it. If two vendors have a field of the
	// same name, its type must be the same too.
	ConfigFields() map[string]*framework.FieldSchema

	// RoleFields are the fields that this vendor adds to roles/<name>. The rules of ConfigFields apply.
	RoleFields() map[string]*framework.FieldSchema

	// ValidateRole checks the vendor's own fields of a role. It makes no network call. The error is an *Error
	// of ClassInvalid that names the field.
	ValidateRole(role *framework.FieldData) error

	// Open checks the configuration and returns a connection. It makes no network call, starts no goroutine
	// and reads nothing from the session store. The error is an *Error of ClassInvalid that names the field.
	Open(config Config) (Connection, error)
}

// Capabilities describes what a vendor's API can do with a credential after its issue.
type Capabilities struct {
	// Renewal is what a renewal can promise.
	Renewal Renewal
	// Revokes is true if the vendor has a call that ends a credential. Connections of such a vendor
	// implement [Revoker].
	Revokes bool
	// Marker names the field at the vendor that carries the marker of an issue, such as FTD's
	// desired_subject. The marker finds a credential again after its answer was lost. Empty if the vendor has
	// no such field; otherwise connections implement [MarkerRevoker].
	Marker string
	// MaxLifetime is the longest lifetime that the vendor grants. Zero if no limit is known.
	MaxLifetime time.Duration
	// LifetimeByVendor is true if the vendor alone decides how long a credential lives and ignores the
	// requested lifetime.
	LifetimeByVendor bool
	// CheckIssues is true if Check creates a credential at the vendor. The engine records an intent before it, and
	// the result's Issued after it.
	CheckIssues bool
	// DefaultMaxCredentials is the default of the config field max_credentials. Zero means unlimited.
	DefaultMaxCredentials int
	// MaxCredentials is how many credentials the vendor is known to allow at the same time, in addition to the
	// engine's own login: for all configs with the same address and, if there are AccountFields, the same account.
	// Zero if no limit is known.
	MaxCredentials int
	// SharesByDefault is true if a role whose field sharing is not set is shared: the vendor limits how many credentials it
	// issues so much that a credential for each reader is the exception.
	SharesByDefault bool
	// DefaultRequestsPerMinute is the default of the config field requests_per_minute: below the vendor's known
	// limit. Zero means unlimited.
	DefaultRequestsPerMinute int
	// AddressFields are the config fields in addition to "address" that determine where a secret is sent, such
	// as the URL of a separate authorization server, or a path at the address. If one of them changes, the engine
	// requires the secrets again, and sends no credential there that was issued before.
	AddressFields []string
	// AccountFields are the config fields that together name the account at the vendor, if that account
	// does not belong to the address. A vendor that locks accounts locks the account of all configs with the same
	// values, so rejected root credentials are remembered for all of them. Empty if the address and all fields
	// that are not secret name the account.
	AccountFields []string
	// Alternatives are the config fields and role fields that exclude each other.
	Alternatives []Alternative
	// RevocationNote is one sentence on what revoking a lease does at the vendor. `info` shows it. If Revokes
	// is false, each answer with a credential has it as a warning.
	RevocationNote string
	// ReportsRootExpiry is true if Check can report when the root credential expires, and creates nothing. The engine then
	// checks it once a day.
	ReportsRootExpiry bool
	// RotatesRoot is true if the vendor's API can replace the root credential. Then connections implement
	// [RootRotator].
	RotatesRoot bool
	// RotationNote is one sentence on how to change the root credential: with config/<name>/rotate-root, or
	// manually.
	RotationNote string
	// CredentialFields describe the members of [Credential].Data. A member that some credentials lack is not Required.
	CredentialFields map[string]*framework.FieldSchema
	// ConfigExample and RoleExample are the vendor's fields of a typical write, as the vault command takes them, such as
	// "username=vault password=@password". The help of the paths shows them. ConfigExample begins with the address.
	ConfigExample, RoleExample string
}

// Alternative names fields that a write resets because it gives a value to another field. Otherwise an operator who
// changes, for example, from role_name to role_id would have to reset role_name in the same write.
type Alternative struct {
	// Fields are config fields or role fields. A value that differs from the default of one of them resets Replaces.
	Fields []string
	// Replaces are fields of the same object. The engine resets them to their defaults, except for those that are in
	// the write too.
	Replaces []string
}

// Renewal is what the renewal of a lease can promise about the vendor's credential.
type Renewal int

const (
	// RenewalNone means that the credential's expiry is fixed and that the lease is not renewable. The engine
	// issues the credential for the role's ttl.
	RenewalNone Renewal = iota
	// RenewalWithinLife means that the credential's expiry is fixed at its issue. The engine issues it for the
	// role's max_ttl, and renewals extend the lease within that lifetime.
	RenewalWithinLife
	// RenewalExtends means that a renewal extends the credential's expiry at the vendor. The engine issues the
	// credential for the role's ttl.
	RenewalExtends
)

var renewalNames = [...]string{
	RenewalNone:       "none",
	RenewalWithinLife: "within_life",
	RenewalExtends:    "extends",
}

// String returns the stable name of the value, as `info` shows it.
func (r Renewal) String() string {
	if r < 0 || int(r) >= len(renewalNames) {
		return "unknown"
	}
	return renewalNames[r]
}
