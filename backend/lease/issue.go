package lease

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// issueResult is the credential and its ledger entry.
type issueResult struct {
	credential *provider.Credential
	entry      *ledger.Entry
}

// issue creates a credential: intent, vendor call, ledger entry. It makes two storage writes and one vendor
// call.
func (c *Credentials) issue(ctx context.Context, storage logical.Storage, p issueParams) (result *issueResult, err error) {
	if err := c.Pool.Refusal(p.conn, pool.OperationIssue); err != nil {
		// Pool.Call asks again. Asking here saves the two storage writes of an intent.
		c.Pool.Metrics.CountRejection(p.Role.Config, p.config.Vendor, pool.OperationIssue, provider.ClassOf(err))
		return nil, err
	}
	id, err := marker.NewID(c.Random)
	if err != nil {
		return nil, err
	}
	if err := c.checkServing(); err != nil {
		return nil, err
	}
	c.inFlight.Store(id, struct{}{})
	defer c.inFlight.Delete(id)

	intent, err := c.intent(ctx, storage, p, id)
	if err != nil {
		return nil, err
	}
	entry, err := c.reserve(ctx, storage, p, intent)
	if err != nil {
		if !errors.Is(err, errPreempted) {
			c.Pool.Metrics.CountRejection(p.Role.Config, p.config.Vendor, pool.OperationIssue, rejectionClass(err))
		}
		return nil, withRemedy(err)
	}
	defer func() { err = aboutUnlessNothing(id, err) }()
	failpoint.Hit("issue.reserved")
	credential, err := c.callIssue(ctx, storage, p, entry)
	if err != nil {
		return nil, c.handleIssueError(ctx, storage, entry, p.vendor, err)
	}
	c.Pool.Metrics.CountIssued(entry.Config, entry.Role)
	if !credential.ExpiresAt.After(c.Clock.Now().Add(transitAllowance)) {
		return nil, c.discardExpired(ctx, storage, entry, p, credential)
	}
	failpoint.Hit("issue.issued")
	if err := c.record(ctx, storage, p, entry, credential); err != nil {
		return nil, c.revokeUnrecorded(ctx, storage, entry, p, err)
	}
	failpoint.Hit("issue.recorded")
	c.endCheck(ctx, storage, p.Role.Config, credential)
	return &issueResult{credential: credential, entry: entry}, nil
}

// checkServing refuses to issue once the mount is being stopped: what is issued then is not revoked.
func (c *Credentials) checkServing() error {
	if c.Lifetime.Err() == nil {
		return nil
	}
	return &provider.Error{Class: provider.ClassUnavailable, Message: "the mount is being stopped", Err: provider.ErrNotSent}
}

// intent describes the credential before the vendor is called.
func (c *Credentials) intent(ctx context.Context, storage logical.Storage, p issueParams, id string) (ledger.Intent, error) {
	name, err := c.Markers.Marker(ctx, storage, p.RoleName, id)
	if err != nil {
		return ledger.Intent{}, err
	}
	bound := p.vendorLifetime()
	switch can := p.vendor.Capabilities(); {
	case can.Renewal == provider.RenewalExtends:
		// However short the lease is, a session without an expiry of its own lives for the vendor's idle time.
		bound = max(bound, p.conn.MaxLifetime())
	case can.LifetimeByVendor:
		// The lifetime is known only from the answer. If that is lost, the entry must outlast the credential.
		bound = max(bound, c.System().MaxLeaseTTL())
	}
	if p.vendor.Capabilities().Marker == "" {
		name = "" // nothing at the vendor has this name
	}
	var requester ledger.Requester
	if !p.Role.IsShared() { // otherwise each holder has its own
		requester = p.Requester
	}
	now := c.Clock.Now()
	return ledger.Intent{
		ID:             id,
		Requester:      requester,
		Marker:         name,
		Config:         p.Role.Config,
		Role:           p.RoleName,
		UID:            p.config.UID,
		Origin:         p.config.Origin(p.vendor),
		ExpiresAt:      now.Add(IssueDeadline + bound),
		LeaseExpiresAt: now.Add(IssueDeadline + p.lifetimes.TTL),
		ShareKey:       p.shareKey(),
		Limit:          p.config.MaxCredentials,
		RoleLimit:      p.Role.MaxCredentials,
	}, nil
}

// needsCount reports whether the vendor must know how many credentials are alive. Without max_credentials the engine has
// no limit, but a vendor that has one must still not end a session for another one.
func (p *issueParams) needsCount() bool {
	return p.config.MaxCredentials > 0 || p.vendor.Capabilities().DefaultMaxCredentials > 0
}

// reserve takes a slot. If the role allows it, it waits for a slot to become free. If the credentials cannot be counted
// yet, it writes nothing.
func (c *Credentials) reserve(ctx context.Context, storage logical.Storage, p issueParams, intent ledger.Intent) (*ledger.Entry, error) {
	var began time.Time // of the waiting; zero while no slot was missing
	defer func() {
		var waited time.Duration
		if !began.IsZero() {
			waited = max(0, c.Clock.Now().Sub(began))
		}
		c.Pool.Metrics.ObserveSlotWait(intent.Config, p.config.Vendor, waited)
	}()
	deadline := c.Clock.Now().Add(p.Role.MaxWait)
	if p.needsCount() {
		if _, err := c.Ledger.Used(ctx, storage, intent.Config); err != nil {
			return nil, err
		}
	}
	entry, refused := c.Ledger.Reserve(ctx, storage, intent)
	limit, isFull := errors.AsType[*ledger.LimitError](refused)
	if !isFull || p.Role.MaxWait <= 0 {
		return entry, refused
	}
	began = c.Clock.Now()
	waiter, err := c.Ledger.Wait(ctx, storage, intent)
	if err != nil {
		return nil, err
	}
	defer waiter.Leave()
	for {
		now := c.Clock.Now()
		remaining, pause := deadline.Sub(now), max(limit.NextFree.Sub(now), time.Second) // slots also become free by time
		select {
		case <-waiter.Ready():
			return waiter.Claim(ctx, storage)
		case <-p.conn.YieldRequested():
			return nil, errPreempted
		case <-c.Clock.After(min(max(remaining, 0), pause)):
			again, isFull := errors.AsType[*ledger.LimitError](waiter.Refusal(ctx, storage))
			if !isFull {
				continue // Ready is closed
			}
			if limit = again; remaining <= pause {
				return nil, limit
			}
		case <-ctx.Done():
			return nil, limit
		}
	}
}

// callIssue asks the vendor for the credential.
func (c *Credentials) callIssue(ctx context.Context, storage logical.Storage, p issueParams, entry *ledger.Entry) (*provider.Credential, error) {
	name, err := c.Markers.Marker(ctx, storage, p.RoleName, entry.ID)
	if err != nil {
		return nil, &provider.Error{Class: provider.ClassUnavailable, Message: err.Error(), Err: err}
	}
	request := provider.IssueRequest{
		Marker:      name,
		Lifetime:    p.vendorLifetime(),
		Description: p.Description,
		Role:        p.Role.FieldData(p.vendor),
	}
	if p.needsCount() {
		used, err := c.Ledger.Used(ctx, storage, p.Role.Config)
		if err != nil {
			return nil, &provider.Error{Class: provider.ClassUnavailable, Message: err.Error(), Err: err}
		}
		request.ActiveCount = used - 1 // without this one
	}
	var credential *provider.Credential
	err = c.Pool.Call(ctx, p.conn, p.config.Vendor, pool.OperationIssue, func(ctx context.Context) (err error) {
		credential, err = p.conn.Issue(ctx, request)
		return err
	})
	if err == nil {
		credential.Clean()
	}
	return credential, err
}

// record completes the ledger entry of a credential that the vendor has created.
func (c *Credentials) record(ctx context.Context, storage logical.Storage, p issueParams, entry *ledger.Entry, credential *provider.Credential) error {
	extends := p.vendor.Capabilities().Renewal == provider.RenewalExtends
	now := c.Clock.Now()
	entry.State = ledger.StateLive
	entry.Handle = credential.Handle
	entry.ExpiresAt = credential.ExpiresAt
	// Where renewals move the end, a renewal whose answer was lost may have moved it beyond the recorded one.
	entry.ExpiryNotEnforced = credential.ExpiryNotEnforced || extends
	entry.LeaseExpiresAt = now.Add(p.lifetimes.TTL)
	entry.LatestExpiresAt = p.latestExpiresAt(credential, now)
	if p.Role.IsShared() {
		entry.MaxExpiresAt = credential.ExpiresAt
		if extends {
			// The first lease can be renewed for the full max_ttl: one second is for the way back, and one for the fraction
			// that maxLeaseTTL cuts off.
			entry.MaxExpiresAt = now.Add(p.lifetimes.sharedLifetime() + 2*transitAllowance)
		}
		var err error
		if entry.Shared, err = encodeShared(credential); err != nil {
			return err
		}
	}
	return c.Ledger.Update(ctx, storage, entry)
}

// shareKey names what readers share: one credential for each revision of the role and each connection id, so
// that a root credential or address that an operator writes takes effect at once. It is empty when readers
// share nothing.
func (p *issueParams) shareKey() string {
	if !p.Role.IsShared() {
		return ""
	}
	epoch := p.config.ConnectionID
	if p.config.SharingEpoch != "" && !p.config.Root.RecheckCredentials {
		// Rotations since then did not end the shared credential, or it was found dead and deleted.
		epoch = p.config.SharingEpoch
	}
	return p.RoleName + "/" + p.Role.Revision + "/" + epoch
}

// vendorLifetime is how long the credential must live at the vendor.
func (p *issueParams) vendorLifetime() time.Duration {
	return p.lifetimes.atVendor(p.Role, p.conn.MaxLifetime(), p.vendor.Capabilities().Renewal)
}
