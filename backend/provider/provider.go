// Package provider is the contract between the engine and a vendor.
//
// The engine (package backend) knows Vault: storage, leases, TTLs, roles. A vendor package knows one
// product's API. Each sentence about an implementation below is proved for every vendor by the
// conformance suite in package providertest.
package provider

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/framework"
)

// Provider describes one vendor and opens connections to it. Implementations are stateless and safe
// for concurrent use.
type Provider interface {
	// Name is the value of the config field "vendor": lower case, stable for ever.
	Name() string

	// Description is one line for people: the product as its vendor calls it.
	Description() string

	// Capabilities says what the vendor's API can do. It is constant.
	Capabilities() Capabilities

	// ConfigFields are the fields that this vendor adds to config/<name>. A secret is marked with
	// DisplayAttrs.Sensitive: the engine stores it, hands it to Open, and never shows it. Where two
	// vendors name a field alike, its type must be alike too.
	ConfigFields() map[string]*framework.FieldSchema

	// RoleFields are the fields that this vendor adds to roles/<name>, under the same rules.
	RoleFields() map[string]*framework.FieldSchema

	// ValidateRole checks the vendor's own fields of a role, without network. A refusal is an *Error
	// of ClassInvalid that names the field.
	ValidateRole(role *framework.FieldData) error

	// Open checks the configuration and returns a connection. It makes no network call, starts no
	// goroutine and reads nothing from the session store. A refusal is an *Error of ClassInvalid that
	// names the field.
	Open(config Config) (Connection, error)
}

// Capabilities says what a vendor's API can do with a credential once it is issued.
type Capabilities struct {
	// Renewal says what a renewal can promise.
	Renewal Renewal
	// Revokes is true when the vendor has a call that ends a credential. Connections of such a vendor
	// implement [Revoker].
	Revokes bool
	// Marker names the vendor-side member that carries the marker of an issue, such as FTD's
	// desired_subject, by which a credential whose answer was lost is found again. Empty when the
	// vendor has none; otherwise connections implement [MarkerRevoker].
	Marker string
	// MaxLifetime is the longest life that the vendor grants. Zero when it sets no limit that is
	// known.
	MaxLifetime time.Duration
	// LifetimeByVendor is true when the vendor alone decides how long a credential lives, whatever is asked for.
	LifetimeByVendor bool
	// DefaultMaxCredentials is the default of the config field max_credentials. Zero means unlimited.
	DefaultMaxCredentials int
	// AddressFields are the config fields beside "address" that say where a secret is sent, such as the URL of a
	// separate authorisation server. When one changes, the engine asks for the secrets again.
	AddressFields []string
	// RevocationNote tells what revoking a lease does at the vendor, in one sentence. It stands in
	// `info`, and, when Revokes is false, in a warning of every answer.
	RevocationNote string
	// RotatesRoot is true when the vendor's API can replace the root credential. Then connections implement
	// [RootRotator].
	RotatesRoot bool
	// RotationNote tells how the root credential is changed, in one sentence: by config/<name>/rotate-root, or else
	// by a person.
	RotationNote string
}

// Renewal says what renewing a lease can promise about the vendor's credential.
type Renewal int

const (
	// RenewalNone: the credential's end cannot be moved and the lease is not renewable. It is issued
	// for the role's ttl.
	RenewalNone Renewal = iota
	// RenewalWithinLife: the credential's end is fixed when it is issued. It is issued for the role's
	// max_ttl, and renewals move the lease inside that life.
	RenewalWithinLife
	// RenewalExtends: a renewal moves the credential's end at the vendor. It is issued for the role's
	// ttl.
	RenewalExtends
)

var renewalNames = [...]string{
	RenewalNone:       "none",
	RenewalWithinLife: "within_life",
	RenewalExtends:    "extends",
}

// String returns the stable name of the value, as shown by `info`.
func (r Renewal) String() string {
	if r < 0 || int(r) >= len(renewalNames) {
		return "unknown"
	}
	return renewalNames[r]
}

// Config is what a connection is opened with.
type Config struct {
	// Name is the config's name in the mount; it stands in messages.
	Name string
	// Address is the vendor's host or URL, as the operator wrote it.
	Address string
	// CACert is a PEM bundle to trust instead of the system's. Optional.
	CACert string
	// TLSServerName overrides the name that the certificate must carry. Optional.
	TLSServerName string
	// TLSSkipVerify accepts any certificate.
	TLSSkipVerify bool
	// RequestTimeout bounds one HTTP exchange.
	RequestTimeout time.Duration
	// MaxRetries is how often a request that is safe to repeat is repeated.
	MaxRetries int
	// Fields holds the vendor's own fields, by the schema of ConfigFields.
	Fields *framework.FieldData
	// Sessions keeps the engine's own login at the vendor, where it has one, over restarts.
	Sessions SessionStore
	// Logger is for this connection. Nothing that was sent to or came from the vendor's credentials
	// is ever written to it.
	Logger hclog.Logger
	// Clock tells the time.
	Clock Clock
	// UserAgent is the value of the User-Agent header of all requests.
	UserAgent string
}

// Clock tells the time, so that tests need not wait for it to pass.
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// After returns a channel that receives once d has passed, as time.After does.
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the Clock of the machine.
type SystemClock struct{}

// Now returns time.Now in UTC.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// After is time.After.
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// SessionStore keeps a few hundred bytes for a connection over restarts and failovers: the login that
// the engine itself holds at a vendor that counts sessions. What is saved is as secret as the root
// credential and is stored like it. Safe for concurrent use.
type SessionStore interface {
	// Load returns what was saved last, or nil.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces what is stored. Nil deletes it.
	Save(ctx context.Context, session []byte) error
}

// Connection is one stored config's line to its vendor. It is safe for concurrent use. Methods honour
// their context, return an [*Error] on failure, and hold no lock across a vendor call unless the
// vendor demands it.
type Connection interface {
	// MaxLifetime is the longest life that the vendor grants under this configuration, or zero when
	// no limit is known. It makes no network call.
	MaxLifetime() time.Duration

	// Check logs in for real, with no effect that outlasts it but a login of the engine's own.
	Check(ctx context.Context) (*CheckResult, error)

	// Issue makes a credential. It sends the create at most once; when the answer is lost or not
	// understood, the error is ClassAmbiguous. When Issue returns an error of a definite class,
	// nothing was made or it was ended again.
	Issue(ctx context.Context, request IssueRequest) (*Credential, error)

	// Logout ends the engine's own login at the vendor, if there is one, and frees the connection's
	// resources. The credentials it has issued live on. The connection is not used afterwards.
	Logout(ctx context.Context) error

	// Close frees the connection's resources and leaves the login alone, for whoever uses the
	// session store next.
	Close()
}

// CheckResult is what a real login told.
type CheckResult struct {
	// Identity is who the root credential is, in the vendor's words.
	Identity string
	// RootExpiresAt is when the root credential itself ends; zero when it does not or nobody knows.
	RootExpiresAt time.Time
	// Details are further facts, by names of the vendor's. No secrets.
	Details map[string]any
	// Warnings are for the operator.
	Warnings []string
}

// IssueRequest asks for one credential.
type IssueRequest struct {
	// Marker is unique to this request, of [a-z0-9-], at most 64 bytes. It travels in the vendor-side
	// name where the vendor has one.
	Marker string
	// Lifetime is how long the credential shall live at the vendor: whole seconds, at least one, and
	// at most MaxLifetime.
	Lifetime time.Duration
	// Description tells a person who looks at the vendor's console where this came from.
	Description string
	// ActiveCount is how many credentials the engine holds alive under this config at the moment, this one not
	// counted. Zero when max_credentials is unlimited: then nobody counts.
	ActiveCount int
	// Role holds the vendor's own fields of the role, by the schema of RoleFields.
	Role *framework.FieldData
}

// Credential is what a vendor issued.
type Credential struct {
	// Token is the secret that the application presents.
	Token string
	// TokenType says how to present it, such as "Bearer".
	TokenType string
	// Address is the base URL that the application sends it to.
	Address string
	// Data holds the vendor's own terms beside: api_key_id, session, ….
	Data map[string]any
	// Handle is what renewing and revoking will need: a small versioned JSON object. It never holds
	// the root credential.
	Handle json.RawMessage
	// ExpiresAt is when the vendor ends the credential, on this machine's clock: computed from a
	// relative lifetime or the answer's Date header, and from before the request was sent, so that it
	// is never late.
	ExpiresAt time.Time
	// ExpiryNotEnforced is true when the vendor may not end the credential at ExpiresAt by itself: because the
	// application's own calls move the end, or because the vendor keeps none. Then only revoking it is sure
	// to end it.
	ExpiryNotEnforced bool
	// Warnings go into the answer.
	Warnings []string
}

// Renewer is implemented by connections of vendors whose Capabilities.Renewal is not RenewalNone.
type Renewer interface {
	// Renew makes sure that the credential works, for RenewalExtends until at least now plus
	// lifetime, and returns when the vendor will end it. A credential that has ended is ClassNotFound.
	// Renewing twice does no harm.
	Renew(ctx context.Context, handle json.RawMessage, lifetime time.Duration) (expiresAt time.Time, err error)
}

// Revoker is implemented by connections of vendors that can end a credential.
type Revoker interface {
	// Revoke ends the credential. A nil error means that the vendor said it is gone, now or already.
	// It may be called any number of times.
	Revoke(ctx context.Context, handle json.RawMessage) error
}

// ConditionalRevoker is implemented by connections of vendors that can end a credential under some
// configurations only, such as FortiSIEM, which documents no such call but lets the operator name one. Their
// Capabilities.Revokes is true and they implement [Revoker].
type ConditionalRevoker interface {
	// CanRevoke reports whether Revoke can end credentials under this configuration. It never changes for
	// a connection and makes no network call. While it is false, credentials end by their expiry as with
	// a vendor that cannot revoke, and Revoke returns a ClassInvalid error without a network call.
	CanRevoke() bool
}

// MarkerRevoker is implemented by connections of vendors that carry the marker.
type MarkerRevoker interface {
	// RevokeMarker ends whatever credential carries the marker. A nil error means that the vendor said
	// there is none, now or already. It may be called any number of times.
	RevokeMarker(ctx context.Context, marker string) error
}

// Lister is implemented by connections of vendors that can list what carries a marker. Such connections
// implement [MarkerRevoker] too.
type Lister interface {
	// List lists the credentials whose marker begins with prefix, at least two characters of [a-z0-9-]. What it
	// lists is there; a vendor that does not show everything may leave something out. Credentials of other
	// mounts and of people are never listed. It changes nothing.
	List(ctx context.Context, prefix string) ([]Listed, error)
}

// Listed is a credential that the vendor lists.
type Listed struct {
	// Marker is the whole marker.
	Marker string
	// ExpiresAt is when the vendor ends it; zero when it does not say.
	ExpiresAt time.Time
}

// Bootstrapper is implemented by connections of vendors whose root credential can be made from a login
// that is used once, such as a user name and password that need not be kept.
type Bootstrapper interface {
	// NeedsBootstrap reports whether the connection was opened with such a login. Then Bootstrap must be
	// called, and what it returns stored and opened in place of the login; every other method but MaxLifetime,
	// Logout and Close fails with ClassInvalid. It makes no network call.
	NeedsBootstrap() bool

	// Bootstrap logs in, makes a root credential that carries the marker at the vendor, and proves that it
	// works. The marker is as in [IssueRequest]. It sends the create at most once. After an error of a
	// definite class nothing is left at the vendor but a login that ends by itself; after ClassAmbiguous,
	// somebody has to look for the marker there.
	Bootstrap(ctx context.Context, marker string) (*Bootstrapped, error)
}

// Bootstrapped is a root credential that was just made.
type Bootstrapped struct {
	// Fields are all of the vendor's own config fields that are to be stored, by the schema of ConfigFields.
	// Those that are missing, the login among them, are to be forgotten.
	Fields map[string]any
	// Warnings are for the operator.
	Warnings []string
	// Undo ends the root credential at the vendor, for when Fields could not be stored. It may be called
	// any number of times, until the connection that made them is closed or abandoned.
	Undo func(ctx context.Context) error
}

// RootRotator is implemented by connections of vendors whose API can replace the root credential, which
// Capabilities.RotatesRoot says. Nothing else uses the connection while RotateRoot does.
type RootRotator interface {
	// ProposeRoot returns the vendor's config fields of the next root credential, as far as they are ours to choose,
	// such as a new password; nil where the vendor makes the secret. Password makes a strong one, by the Vault password
	// policy of that name if one is given. The engine stores what is proposed before it calls RotateRoot: from then
	// on, it may be in force. No network call.
	ProposeRoot(password func(policy string) (string, error)) (map[string]any, error)

	// RotateRoot replaces the root credential by one with the proposed fields, or, where the vendor makes the
	// secret, by one that carries the marker, which is as in [IssueRequest]. It sends the change at most once. After an
	// error of a definite class the present root credential is in force and nothing else is left at the vendor. After
	// ClassAmbiguous the proposed one may be in force, or one that carries the marker may exist. The connection is
	// not used afterwards, except for Undo, Logout and Close.
	RotateRoot(ctx context.Context, marker string, proposed map[string]any) (*RotatedRoot, error)
}

// RotatedRoot is a root credential that has just taken the place of another.
type RotatedRoot struct {
	// Fields are the vendor's config fields that change with it.
	Fields map[string]any
	// Previous is the handle of the one before, as [Revoker] takes it, for a connection that was opened with Fields to
	// end. Nil where the change itself has ended it.
	Previous json.RawMessage
	// InvalidatesCredentials is true where the vendor may end credentials with the root credential that issued them.
	InvalidatesCredentials bool
	// Warnings are for the operator.
	Warnings []string
	// Undo ends the new one, for when Fields could not be stored. It may be called any number of times, until the
	// connection is closed or abandoned. Nil where the proposed fields have taken the place of the former.
	Undo func(ctx context.Context) error
}
