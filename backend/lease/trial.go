package lease

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Trial issues and ends credentials that no lease holds, to observe the vendor. Each takes a slot and is in the
// ledger like any other one: if the process dies, the background work ends it.
type Trial struct {
	credentials *Credentials
	storage     logical.Storage
	params      issueParams
}

// TrialCredential is a credential of a [Trial].
type TrialCredential struct {
	// ID is that of the ledger entry, and Marker the credential's marker at the vendor.
	ID, Marker string
	// Requested is the lifetime that the vendor was asked for.
	Requested time.Duration
	// Credential is what the driver returned.
	Credential *provider.Credential
}

// NewTrial returns a trial of a config. The caller has acquired conn, and keeps it for as long as the trial lasts.
// Of the role, only the config and the vendor's own fields count: the caller checks that the config allows it. The
// error is ClassInvalid.
func (c *Credentials) NewTrial(storage logical.Storage, request Request, config *store.Config, conn *pool.Conn) (*Trial, error) {
	if err := checkIssues(request.Role, config); err != nil {
		return nil, err
	}
	role := store.Role{
		Version: request.Role.Version, Config: request.Role.Config, Vendor: request.Role.Vendor,
		Sharing: store.SharingExclusive, Revision: request.Role.Revision, Fields: request.Role.Fields,
	}
	request.Role = &role
	return &Trial{c, storage, issueParams{Request: request, config: config, conn: conn, vendor: c.Providers[config.Vendor]}}, nil
}

// Issue issues a credential that is needed for the time life. Errors are those of [Credentials.Read].
func (t *Trial) Issue(ctx context.Context, life time.Duration) (*TrialCredential, error) {
	params := t.params
	if longest := params.conn.MaxLifetime(); longest > 0 {
		life = min(life, longest)
	}
	params.lifetimes = Lifetimes{TTL: life, MaxTTL: life}
	issued, err := t.credentials.issue(ctx, t.storage, params)
	if errors.Is(err, errPreempted) {
		return nil, &provider.Error{Class: provider.ClassUnavailable, Message: err.Error(), Err: provider.ErrNotSent}
	}
	if err != nil {
		return nil, err
	}
	return &TrialCredential{issued.entry.ID, issued.entry.Marker, params.vendorLifetime(), issued.credential}, nil
}

// End revokes a credential of the trial. Where the vendor cannot revoke, the entry stays until the credential has
// expired. A failure is returned, and the background work retries. A repeated call does no harm. drained is true when
// the config was retired and this was its last credential: the caller then deletes the config.
func (t *Trial) End(ctx context.Context, id string) (drained bool, err error) {
	entry, err := t.credentials.Ledger.Get(ctx, t.storage, t.params.Role.Config, id)
	if err != nil || entry == nil {
		return false, err
	}
	result, err := t.credentials.revokeOn(ctx, t.storage, entry, t.params.config, t.params.conn)
	return result.drained, err
}

// Call makes a call to the vendor for the trial.
func (t *Trial) Call(ctx context.Context, call func(context.Context) error) error {
	return t.credentials.Pool.Call(ctx, t.params.conn, t.params.config.Vendor, pool.OperationProbe, call)
}
