package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Request asks for a credential of a role.
type Request struct {
	// RoleName and Role are the role's.
	RoleName string
	Role     *store.Role
	// Requester is who asks. The ledger records it.
	Requester ledger.Requester
	// Description tells a person who looks at the vendor's console where the credential came from.
	Description string
}

// Leased is a credential with the terms of its lease. The lease ends before the credential does.
type Leased struct {
	// Reference finds the credential when the lease is renewed or revoked.
	Reference Reference
	// Vendor is the vendor's name.
	Vendor string
	// Credential is what the application gets.
	Credential *provider.Credential
	// TTL is how long the lease lasts without renewal, MaxTTL how long it can be renewed.
	TTL, MaxTTL time.Duration
	// Renewable is false where the end of a credential cannot be moved.
	Renewable bool
	// Warnings go into the answer.
	Warnings []string
}

// issueParams are the inputs of one issue.
type issueParams struct {
	Request
	config    *store.Config
	conn      *pool.Conn
	vendor    provider.Provider
	lifetimes Lifetimes
}

// errPreempted is returned to a request that is waiting for a slot when a rotation takes the connection: no
// slot can be freed until the rotation ends, so the request must start over.
var errPreempted = errors.New("a rotation of the root credential has preempted the request")

// Read issues a credential, or attaches the reader to the one that the role's readers share. An exclusive
// credential costs two storage writes and one vendor call; a shared one that exists costs one write. Errors
// are those of the provider's classes, [ledger.LimitError] when all slots are taken, and storage errors. After
// an error, either the vendor created nothing and nothing is stored, or the ledger holds what the background
// work needs to revoke the credential.
func (c *Credentials) Read(ctx context.Context, storage logical.Storage, request Request) (*Leased, error) {
	for {
		leased, err := c.read(ctx, storage, request)
		if !errors.Is(err, errPreempted) {
			return leased, err
		}
	}
}

func (c *Credentials) read(ctx context.Context, storage logical.Storage, request Request) (*Leased, error) {
	if err := c.checkStored(ctx, storage, request); err != nil {
		return nil, err
	}
	config, conn, err := c.Acquire(ctx, storage, request.Role.Config)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	// Again, since the config may have changed.
	if err := checkIssuable(request.RoleName, request.Role, config); err != nil {
		return nil, err
	}
	vendor := c.Providers[config.Vendor]
	p := issueParams{
		Request: request, config: config, conn: conn, vendor: vendor,
		lifetimes: c.Lifetimes(request.Role, conn.MaxLifetime(), vendor.Capabilities().Renewal),
	}
	if request.Role.IsShared() {
		shared, holder, err := c.attachShared(ctx, storage, p)
		if err != nil {
			return nil, err
		}
		reference := Reference{Config: request.Role.Config, Role: request.RoleName, ID: shared.entryID, Holder: holder}
		leased, err := c.lease(p, reference, shared.credential(), shared.maxExpiresAt)
		if err != nil {
			err = c.detachUnused(ctx, storage, reference, p, err)
		}
		return leased, err
	}
	issued, err := c.issue(ctx, storage, p)
	if err != nil {
		return nil, err
	}
	maxExpiresAt := issued.credential.ExpiresAt
	if vendor.Capabilities().Renewal == provider.RenewalExtends {
		// The vendor's end moves with each renewal, which computes the lease's limit again. The margin is for the time
		// that the answer travels.
		maxExpiresAt = c.Clock.Now().Add(p.lifetimes.MaxTTL + lifetimeMargin)
	}
	leased, err := c.lease(p, Reference{Config: request.Role.Config, Role: request.RoleName, ID: issued.entry.ID}, issued.credential, maxExpiresAt)
	if err != nil {
		return nil, c.discard(ctx, storage, issued.entry, p, err)
	}
	return leased, nil
}

// checkStored is checkIssuable for the stored config, before the connection is acquired: a reader of a role that the config
// excludes must not cause logins, which resolve a root credential in doubt. In that case, checkStored also asks the
// driver, which otherwise checks the role itself before it sends anything. It makes no network call. It returns nil for
// a config that does not exist, which Acquire reports.
func (c *Credentials) checkStored(ctx context.Context, storage logical.Storage, request Request) error {
	name := request.Role.Config
	config, err := c.Store.Config(ctx, storage, name)
	if err != nil || config == nil {
		return err
	}
	if err := checkIssuable(request.RoleName, request.Role, config); err != nil {
		return err
	}
	if len(config.Root.Candidates) == 0 {
		return nil
	}
	conn, _, err := c.Pool.TryAcquire(storage, name, config)
	if err != nil || conn == nil {
		return err // without a connection, a rotation is running, and Acquire waits for it
	}
	defer conn.Release()
	checker, ok := conn.Connection.(provider.RoleChecker)
	if !ok {
		return nil
	}
	return checker.CheckRole(request.Role.FieldData(c.Providers[config.Vendor]))
}

// checkIssuable refuses a role whose config issues no credentials for it. The error is ClassInvalid.
func checkIssuable(name string, role *store.Role, config *store.Config) error {
	if err := checkIssues(role, config); err != nil {
		return err
	}
	if !config.AllowsRole(name) {
		return &provider.Error{
			Class: provider.ClassInvalid, Message: fmt.Sprintf("allowed_roles of the config does not contain %q", name),
			Remedy: "have an operator of the config add it, or use another config in the role",
		}
	}
	return nil
}

// checkIssues is checkIssuable without the list of allowed roles.
func checkIssues(role *store.Role, config *store.Config) error {
	if config.Retired {
		return &provider.Error{
			Class: provider.ClassInvalid, Message: "the config is retired and issues no more credentials",
			Remedy: "use another config in the role",
		}
	}
	if role.Vendor != config.Vendor {
		return &provider.Error{
			Class:   provider.ClassInvalid,
			Message: fmt.Sprintf("the role was written for vendor %q, and the vendor of the config is now %q", role.Vendor, config.Vendor),
			Remedy:  "write the role again",
		}
	}
	return nil
}

// lease returns the credential with a lease that ends before it. maxExpiresAt is the last moment to which
// renewals may move the credential's end.
func (c *Credentials) lease(p issueParams, reference Reference, credential *provider.Credential, maxExpiresAt time.Time) (*Leased, error) {
	can, now := p.vendor.Capabilities(), c.Clock.Now()
	leased := &Leased{
		Reference: reference, Vendor: p.vendor.Name(), Credential: credential,
		TTL:       min(p.lifetimes.TTL, maxLeaseTTL(credential.ExpiresAt.Sub(now))),
		MaxTTL:    min(p.lifetimes.MaxTTL, maxLeaseTTL(maxExpiresAt.Sub(now))),
		Renewable: can.Renewal != provider.RenewalNone,
	}
	if leased.TTL <= 0 {
		// Vault would read a TTL of zero as the mount's default. The credential exists, so the class is one that
		// Vault's client does not repeat.
		return nil, &provider.Error{Class: provider.ClassAmbiguous, Message: "the credential expired before it could be leased", Remedy: "use a longer ttl"}
	}
	leased.Warnings = append(leased.Warnings, p.lifetimes.Warnings...)
	leased.Warnings = append(leased.Warnings, credential.Warnings...)
	if !canRevoke(p.conn.Connection, can) {
		leased.Warnings = append(leased.Warnings, fmt.Sprintf("%s This one works until %s.", can.RevocationNote, formatTime(credential.ExpiresAt)))
	}
	return leased, nil
}

// formatTime renders a time as RFC 3339 in UTC.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
