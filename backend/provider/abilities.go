package provider

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
)

// Renewer is implemented by connections of vendors whose Capabilities.Renewal is not RenewalNone.
type Renewer interface {
	// Renew ensures that the credential works and returns when the vendor ends it. For RenewalExtends, that is
	// at least lifetime from now. If the credential has ended, the error is ClassNotFound. A repeated call does
	// no harm.
	Renew(ctx context.Context, handle json.RawMessage, lifetime time.Duration) (expiresAt time.Time, err error)
}

// RoleChecker is implemented by connections whose config limits what its roles may ask for.
type RoleChecker interface {
	// CheckRole returns an error if the config does not allow a role with these fields. Issue returns the same error.
	// It makes no network call. The error is an *Error of ClassInvalid that names the field of the role. Fields that
	// [Provider].ValidateRole rejects need not be checked.
	CheckRole(role *framework.FieldData) error
}

// Revoker is implemented by connections of vendors that can end a credential.
type Revoker interface {
	// Revoke ends the credential. A nil error means that the vendor confirmed that the credential does not
	// exist any more. A repeated call does no harm.
	Revoke(ctx context.Context, handle json.RawMessage) error
}

// ConditionalRevoker is implemented by connections of vendors that can end a credential under some
// configurations only. An example is FortiSIEM, which documents no such call but lets the operator configure one.
// Their Capabilities.Revokes is true and they implement [Revoker].
type ConditionalRevoker interface {
	// CanRevoke reports whether Revoke can end credentials under this configuration. The result is constant for
	// a connection. It makes no network call. If it is false, credentials end by their expiry, as with a vendor
	// that cannot revoke, and Revoke returns a ClassInvalid error without a network call.
	CanRevoke() bool
}

// MarkerRevoker is implemented by connections of vendors that carry the marker.
type MarkerRevoker interface {
	// RevokeMarker ends every credential that carries the marker. A nil error means that the vendor confirmed
	// that none exists any more; found is then true if this call has ended one. It is no proof that none appears
	// later: the vendor may still be working on a request whose caller gave up. A repeated call does no harm.
	RevokeMarker(ctx context.Context, marker string) (found bool, err error)
}

// Lister is implemented by connections of vendors that can list credentials by marker. Such connections
// implement [MarkerRevoker] too.
type Lister interface {
	// List returns the credentials whose marker begins with prefix, which has at least two characters of
	// [a-z0-9-]. Each returned credential exists. A vendor that does not show all credentials may omit some.
	// Credentials of other mounts and of the vendor's own users are never returned. List changes nothing.
	List(ctx context.Context, prefix string) ([]Listed, error)
}

// Listed is a credential in a list of the vendor.
type Listed struct {
	// Marker is the complete marker.
	Marker string
	// ExpiresAt is when the vendor ends the credential. Zero if the vendor does not report it.
	ExpiresAt time.Time
}

// Bootstrapper is implemented by connections of vendors whose root credential can be created with a login that
// is used once, such as a user name and password. The engine does not keep that login.
type Bootstrapper interface {
	// NeedsBootstrap reports whether the connection was opened with such a login. If so, the engine must call
	// Bootstrap, store its result in place of the login, and open a new connection. Until then all other
	// methods except MaxLifetime, Logout and Close fail with ClassInvalid. It makes no network call.
	NeedsBootstrap() bool

	// Bootstrap logs in, creates a root credential that carries the marker at the vendor, and verifies that it
	// works. For the marker see [IssueRequest]. It sends the create at most once. After an error of a definite
	// class, nothing remains at the vendor except a login that ends automatically. After ClassAmbiguous, an
	// operator must look for the marker at the vendor.
	Bootstrap(ctx context.Context, marker string) (*Bootstrapped, error)
}

// Bootstrapped is a newly created root credential.
type Bootstrapped struct {
	// Fields are all of the vendor's own config fields to store, by the schema of ConfigFields. The engine
	// deletes the fields that are missing here, including the login.
	Fields map[string]any
	// Warnings are for the operator.
	Warnings []string
	// Undo ends the root credential at the vendor. The engine calls it if it could not store Fields. It may be
	// called any number of times, until Logout or Close of the connection that created the root credential.
	Undo func(ctx context.Context) error
}

// RootRotator is implemented by connections of vendors whose API can replace the root credential, which is
// what Capabilities.RotatesRoot reports. The engine uses the connection for nothing else during RotateRoot.
type RootRotator interface {
	// ProposeRoot returns the config fields of the next root credential that the driver can choose, such as a
	// new password. It returns nil if the vendor creates the secret. password generates a strong password, by
	// the Vault password policy of that name if it is not empty. The engine stores the proposal before it calls
	// RotateRoot, since the proposal may be active from then on. ProposeRoot makes no network call.
	ProposeRoot(password func(policy string) (string, error)) (map[string]any, error)

	// RotateRoot replaces the root credential: by one with the proposed fields, or, if the vendor creates the
	// secret, by one that carries the marker. For the marker see [IssueRequest]. It sends the change at most
	// once. After an error of a definite class, the present root credential is active and nothing else remains
	// at the vendor. After ClassAmbiguous, the proposed one may be active, or one that carries the marker may
	// exist. The engine does not use the connection afterwards, except for Undo, Logout and Close.
	RotateRoot(ctx context.Context, marker string, proposed map[string]any) (*RotatedRoot, error)
}

// RotatedRoot is a root credential that has replaced the previous one.
type RotatedRoot struct {
	// Fields are the vendor's config fields that change.
	Fields map[string]any
	// Previous is the handle of the previous root credential. A connection that was opened with Fields revokes
	// it with [Revoker]. Nil if the change itself has ended the previous one.
	Previous json.RawMessage
	// InvalidatesCredentials is true if the vendor may end credentials together with the root credential that
	// issued them.
	InvalidatesCredentials bool
	// Warnings are for the operator.
	Warnings []string
	// Undo ends the new root credential. The engine calls it if it could not store Fields. It may be called any
	// number of times, until Logout or Close of the connection. Nil if the proposed fields have already
	// replaced the previous ones.
	Undo func(ctx context.Context) error
}

// RootRevoker is implemented by connections of vendors whose root credentials the engine can create with a marker
// ([Bootstrapper], [RootRotator]) and end again: only Vault knows them.
type RootRevoker interface {
	// RevokeRoot ends the root credential with which the connection was opened. A nil error means that the vendor
	// accepted it, was asked to end it, and does not accept it any more. If it does not carry the marker, the error
	// is ClassInvalid, and nothing was changed. If the vendor did not accept it in the first place, the error is
	// ClassUnauthenticated: whether it still exists is not known. The engine calls nothing else on the connection
	// afterwards, except for a repeated RevokeRoot, Logout and Close.
	RevokeRoot(ctx context.Context, marker string) error
}
