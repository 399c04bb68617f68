package provider

import (
	"context"
	"encoding/json"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
)

// Connection connects one stored config to its vendor. Implementations are safe for concurrent use. The methods
// obey their context, return an [*Error] on failure, and hold no lock across a vendor call unless the vendor
// requires it.
type Connection interface {
	// MaxLifetime is the longest lifetime that the vendor grants under this configuration. Zero if no limit is
	// known. It makes no network call.
	MaxLifetime() time.Duration

	// Check performs a real login. It has no lasting effect except for a login of the engine's own. If the vendor
	// locks accounts that log in often, Check may use the login that the same root credential has opened before. If the
	// vendor issues few credentials and a login is one, Check may keep it in the session store for the next Issue. If it
	// creates a credential at the vendor (Capabilities.CheckIssues) and then fails, it returns both the error and a
	// result with that credential.
	Check(ctx context.Context) (*CheckResult, error)

	// Issue creates a credential, or returns the one that Check has kept. It sends the create at most once; for a request
	// that the vendor refused for its rate, it may wait within the caller's time and send it once more. If the answer is
	// lost or not understood, the error is ClassAmbiguous. After an error of a definite class ([Class.Definite]), the
	// credential was not created, or Issue has revoked it.
	Issue(ctx context.Context, request IssueRequest) (*Credential, error)

	// Logout ends the engine's own login at the vendor, if there is one, and a credential that Check has kept, if the vendor
	// can end it, and frees the connection's resources. A login that several configs share ends with the last of them.
	// The issued credentials stay valid. The caller does not use the connection afterwards.
	Logout(ctx context.Context) error

	// Close frees the connection's resources and does not end the engine's own login, which the next
	// connection finds in the session store. The caller does not use the connection afterwards.
	Close()
}

// RootExpiryNotice is how long before the expiry of a root credential the operator is told.
const RootExpiryNotice = 14 * 24 * time.Hour

// CheckResult is the result of a real login.
type CheckResult struct {
	// Identity is the vendor's name of the root credential's user or key.
	Identity string
	// RootExpiresAt is when the root credential itself expires. Zero if it does not expire or the vendor does
	// not report it.
	RootExpiresAt time.Time
	// Details are further facts by the vendor's names. They hold no secrets.
	Details map[string]any
	// Warnings are for the operator.
	Warnings []string
	// Issued is a credential that the check has created at the vendor and has not ended. The engine records it until it
	// expires, or until Issue returns the same handle: a driver may keep the credential for the next Issue. Nil if
	// there is none.
	Issued *Credential
}

// IssueRequest asks for one credential.
type IssueRequest struct {
	// Marker is unique to this request: at most 64 characters of [a-z0-9-]. It is part of the credential's name
	// at the vendor if the vendor has names.
	Marker string
	// Lifetime is how long the credential must live at the vendor: whole seconds, at least one, and at most
	// MaxLifetime.
	Lifetime time.Duration
	// Description explains the credential's origin to a reader of the vendor's console.
	Description string
	// ActiveCount is the number of live credentials under this config, without this one. It includes those that are
	// being issued. Zero if max_credentials is unlimited and the vendor's Capabilities.DefaultMaxCredentials is
	// zero, since then they are not counted.
	ActiveCount int
	// Role holds the vendor's own fields of the role, by the schema of RoleFields.
	Role *framework.FieldData
}

// Credential is a credential that the vendor has issued.
type Credential struct {
	// Token is the secret that the application sends.
	Token string
	// TokenType is how the application sends the token, such as "Bearer".
	TokenType string
	// Address is the base URL to which the application sends the token.
	Address string
	// Data holds further values by the vendor's own names, such as api_key_id or session.
	Data map[string]any
	// Handle is what Renew and Revoke need: a small JSON object with the version of its layout, see
	// [ParseHandle]. It never holds the root credential.
	Handle json.RawMessage
	// ExpiresAt is when the vendor ends the credential, on this machine's clock. It is never late: the driver
	// computes it from a relative lifetime or the answer's Date header, and counts from before it sent the
	// request.
	ExpiresAt time.Time
	// ExpiryNotEnforced is true if the vendor may not end the credential at ExpiresAt: because the
	// application's own calls extend it, or because the vendor has no expiry. Then only a revocation is
	// certain to end it.
	ExpiryNotEnforced bool
	// Warnings are part of the answer to the application.
	Warnings []string
}
