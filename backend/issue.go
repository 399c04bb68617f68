package backend

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

const (
	// lifetimeMargin is how much longer than its lease a credential lives at the vendor: room for the
	// time that the answer travels, so that a lease gets the full TTL of its role.
	lifetimeMargin = 15 * time.Second

	// cleanupTimeout bounds what is done after a failure, on a context that outlives the request.
	cleanupTimeout = 30 * time.Second
)

// issueParams is what one credential is issued by.
type issueParams struct {
	roleName    string
	role        *roleEntry
	config      *configEntry
	conn        *connection
	vendor      provider.Provider
	lifetimes   lifetimes
	description string
}

// issueResult is a credential and its account.
type issueResult struct {
	credential *provider.Credential
	entry      *ledger.Entry
}

// issue makes a credential: intent, vendor, account. Two storage writes and one vendor call. After an
// error, either the vendor made nothing and nothing is stored, or the ledger holds what the periodic
// run needs to end it.
func (b *backend) issue(ctx context.Context, storage logical.Storage, o issueParams) (*issueResult, error) {
	now := b.clock.Now()
	if err := o.conn.backoffErr(now); err != nil {
		// Courtesy: callVendor asks again. It saves the two storage writes of an intent.
		b.metrics.countRejection(o.config.Vendor, operationIssue, err)
		return nil, err
	}
	id, err := newID(b.random)
	if err != nil {
		return nil, err
	}
	b.inFlight.Store(id, struct{}{})
	defer b.inFlight.Delete(id)

	lifetime := o.vendorLifetime()
	marker, err := b.marker(ctx, storage, o.roleName, id)
	if err != nil {
		return nil, err
	}
	can := o.vendor.Capabilities()
	extends := can.Renewal == provider.RenewalExtends
	bound := lifetime
	switch {
	case extends:
		// However short the lease: a session without a life of its own lives for the vendor's idle time.
		bound = max(bound, o.conn.MaxLifetime())
	case can.LifetimeByVendor:
		// Nobody knows it before the answer is there. Should that be lost, the account is kept for long.
		bound = max(bound, b.System().MaxLeaseTTL())
	}
	entry, err := b.reserve(ctx, storage, o, ledger.Intent{
		ID:             id,
		Marker:         marker,
		Config:         o.role.Config,
		Role:           o.roleName,
		UID:            o.config.UID,
		Origin:         o.config.origin(o.vendor),
		ExpiresAt:      now.Add(issueDeadline + bound),
		LeaseExpiresAt: now.Add(issueDeadline + o.lifetimes.TTL),
		ShareKey:       o.shareKey(),
		Limit:          o.config.MaxCredentials,
	})
	if err != nil {
		if !errors.Is(err, errPreempted) {
			b.metrics.countRejection(o.config.Vendor, operationIssue, err)
		}
		return nil, withRemedy(err)
	}
	failpoint("issue.reserved")
	request := provider.IssueRequest{
		Marker:      entry.Marker,
		Lifetime:    lifetime,
		Description: o.description,
		Role:        o.role.fieldData(o.vendor),
	}
	if o.config.MaxCredentials > 0 {
		used, err := b.ledger.Used(ctx, storage, o.role.Config)
		if err != nil {
			return nil, b.handleIssueError(ctx, storage, entry, o.vendor, &provider.Error{Class: provider.ClassUnavailable, Message: err.Error(), Err: err})
		}
		request.ActiveCount = used - 1 // without this one
	}
	var credential *provider.Credential
	err = b.callVendor(o.conn, o.config.Vendor, operationIssue, func() (err error) {
		credential, err = o.conn.Issue(ctx, request)
		return err
	})
	if err == nil && !credential.ExpiresAt.After(b.clock.Now().Add(time.Second)) {
		err = &provider.Error{
			Class: provider.ClassAmbiguous, Op: o.vendor.Name() + ": issue",
			Message: "the vendor issued a credential that has already expired", Remedy: "compare the vendor's clock with Vault's",
		}
	}
	if err != nil {
		return nil, b.handleIssueError(ctx, storage, entry, o.vendor, err)
	}
	failpoint("issue.issued")

	entry.State = ledger.StateLive
	entry.Handle = credential.Handle
	entry.ExpiresAt = credential.ExpiresAt
	// Where renewals move the end, one whose answer was lost may have moved it beyond what is written down.
	entry.ExpiryNotEnforced = credential.ExpiryNotEnforced || extends
	entry.LeaseExpiresAt = b.clock.Now().Add(o.lifetimes.TTL)
	if o.role.isShared() {
		entry.MaxExpiresAt = credential.ExpiresAt
		if extends {
			entry.MaxExpiresAt = now.Add(o.lifetimes.MaxTTL)
		}
		if entry.Shared, err = encodeShared(credential); err != nil {
			return nil, b.revokeUnrecorded(ctx, storage, entry, o, err)
		}
	}
	if err := b.ledger.Update(ctx, storage, entry); err != nil {
		return nil, b.revokeUnrecorded(ctx, storage, entry, o, err)
	}
	failpoint("issue.recorded")
	return &issueResult{credential: credential, entry: entry}, nil
}

// reserve takes a slot, waiting for one to become free if the role says so.
func (b *backend) reserve(ctx context.Context, storage logical.Storage, o issueParams, intent ledger.Intent) (*ledger.Entry, error) {
	giveUp := b.clock.Now().Add(o.role.MaxWait)
	for {
		freed := b.ledger.SlotFreed(intent.Config)
		entry, err := b.ledger.Reserve(ctx, storage, intent)
		full, isFull := errors.AsType[*ledger.LimitError](err)
		left := giveUp.Sub(b.clock.Now())
		if !isFull || left <= 0 {
			return entry, err
		}
		select {
		case <-freed:
		case <-o.conn.yieldRequested():
			return nil, errPreempted
		case <-b.clock.After(min(left, max(full.NextExpiry.Sub(b.clock.Now()), time.Second))):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// shareKey names what readers share: one credential for each revision of the role and each generation of the
// config, so that a root credential or address that a person writes is in effect at once. Empty when they share none.
func (o *issueParams) shareKey() string {
	if !o.role.isShared() {
		return ""
	}
	generation := o.config.ConnectionID
	if o.config.SharingEpoch != "" && !o.config.Root.RecheckCredentials {
		// Rotations since have left what readers share alone, or it was found dead and struck out.
		generation = o.config.SharingEpoch
	}
	return o.roleName + "/" + o.role.Revision + "/" + generation
}

// vendorLifetime is how long the credential shall live at the vendor.
func (o *issueParams) vendorLifetime() time.Duration {
	lifetime := o.lifetimes.TTL
	if o.vendor.Capabilities().Renewal == provider.RenewalWithinLife || o.role.isShared() {
		// Either the end cannot be moved later, so it must cover every renewal from the start; or other
		// leases will begin later on the same credential.
		lifetime = o.lifetimes.MaxTTL
	}
	lifetime += lifetimeMargin
	if vendorMax := o.conn.MaxLifetime(); vendorMax > 0 {
		lifetime = min(lifetime, vendorMax)
	}
	return lifetime.Truncate(time.Second)
}

// handleIssueError strikes the intent out when the vendor surely made nothing. Otherwise it stays:
// to be revoked by its marker where the vendor carries one, else until it must have expired.
func (b *backend) handleIssueError(ctx context.Context, storage logical.Storage, entry *ledger.Entry, vendor provider.Provider, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if provider.ClassOf(cause).Definite() {
		if err := b.ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
			// The periodic run will find that nothing carries the marker.
			b.Logger().Warn("an intent could not be struck out", "config", entry.Config, "id", entry.ID, "error", err)
		}
		return cause
	}
	can := vendor.Capabilities()
	outcome := "nobody can find or end what it may have made, which expires by itself"
	entry.State = ledger.StateExpiring
	if can.Marker != "" {
		outcome = "what it may have made is found by its " + can.Marker + " and ended"
		entry.State = ledger.StateRevoking
		entry.NextAttemptAt = b.clock.Now()
	}
	entry.LastError = cause.Error()
	if err := b.ledger.Update(ctx, storage, entry); err != nil {
		// The intent itself is stored; it becomes due by its age.
		b.Logger().Warn("an intent could not be marked for revocation", "config", entry.Config, "id", entry.ID, "error", err)
	}
	b.event(ctx, eventCreateUnknown, "config", entry.Config, "role", entry.Role, "id", entry.ID, "marker", entry.Marker)
	b.Logger().Warn("issue: the vendor's answer was lost", "config", entry.Config, "role", entry.Role, "marker", entry.Marker, "outcome", outcome)
	return fmt.Errorf("%w; %s", cause, outcome)
}

// revokeUnrecorded ends a credential whose account could not be completed.
func (b *backend) revokeUnrecorded(ctx context.Context, storage logical.Storage, entry *ledger.Entry, o issueParams, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if !canRevoke(o.conn.Connection, o.vendor.Capabilities()) {
		return cause
	}
	err := b.callVendor(o.conn, o.config.Vendor, operationRevoke, func() error { return revokeAtVendor(ctx, o.conn, entry) })
	if err != nil {
		// The intent stays in storage and becomes due by its age.
		b.Logger().Warn("an unrecorded credential could not be revoked yet", "config", entry.Config, "marker", entry.Marker, "error", err)
		return cause
	}
	if err := b.ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
		b.Logger().Warn("an intent could not be struck out", "config", entry.Config, "id", entry.ID, "error", err)
	}
	return cause
}

// withRemedy adds the remedies to a refusal of the ledger's.
func withRemedy(err error) error {
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return fmt.Errorf("no credential is free: %w; revoke one, let readers share one with sharing=shared on the role, or raise max_credentials if the vendor allows more", err)
	}
	if errors.Is(err, ledger.ErrFrozen) {
		return &provider.Error{Class: provider.ClassInvalid, Message: err.Error()}
	}
	return err
}

// idEncoding makes ids that every vendor takes in a name.
var idEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// idLength is the length of an id.
const idLength = 16

// newID returns 80 random bits as 16 characters of [a-z2-7].
func newID(random io.Reader) (string, error) {
	var bits [10]byte
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		return "", fmt.Errorf("reading random bytes for a ledger id: %w", err)
	}
	return strings.ToLower(idEncoding.EncodeToString(bits[:])), nil
}
