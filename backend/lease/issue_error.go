package lease

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// handleIssueError deletes the intent when the vendor certainly created nothing. Otherwise the intent stays: its
// marker is searched where the vendor carries one, or else it is kept until the credential must have expired. It
// writes to storage, even after the caller has given up, and never waits for the vendor.
func (c *Credentials) handleIssueError(ctx context.Context, storage logical.Storage, entry *ledger.Entry, vendor provider.Provider, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if provider.ClassOf(cause).Definite() {
		if err := c.Ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
			// The background work searches the marker, and finds no credential.
			c.Logger().Warn("an intent could not be deleted", logOf(entry, "error", err)...)
		}
		return cause
	}
	can := vendor.Capabilities()
	outcome := "a credential that it may have created cannot be found or revoked, and lives until it expires"
	entry.State = ledger.StateExpiring
	if can.Marker != "" {
		outcome = "a credential that it may have created is searched by its " + can.Marker + " and revoked"
		entry.State = ledger.StateSearching
		entry.NextAttemptAt = c.Clock.Now()
	}
	entry.LastError = lastError(cause)
	if err := c.Ledger.Update(ctx, storage, entry); err != nil {
		// The intent itself is stored; it becomes due by its age.
		c.Logger().Warn("an intent could not be marked for a search", logOf(entry, "error", err)...)
	}
	c.SendEvent(ctx, EventCreateUnknown, metadataOf(entry)...)
	c.Logger().Warn("issue: the vendor's answer was lost", logOf(entry, "outcome", outcome, "error", cause)...)
	return asAmbiguous(fmt.Errorf("%w; %s", cause, outcome))
}

// asAmbiguous makes an error ambiguous, if its class is one that Vault's client repeats: a credential may exist, and each
// repetition would create another one.
func asAmbiguous(cause error) error {
	if provider.ClassOf(cause) == provider.ClassAmbiguous {
		return cause
	}
	failure := &provider.Error{Class: provider.ClassAmbiguous, Message: provider.ReaderText(cause), Err: cause}
	failure.AddDetail(cause)
	return failure
}

// revokeUnrecorded revokes a credential whose ledger entry could not be completed, and returns cause. It asks
// the vendor only while the caller waits. Otherwise, and after a failure, the background work revokes it, and the error
// is ClassAmbiguous.
func (c *Credentials) revokeUnrecorded(ctx context.Context, storage logical.Storage, entry *ledger.Entry, p issueParams, cause error) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if !canRevoke(p.conn.Connection, p.vendor.Capabilities()) {
		c.recordUnused(cleanup, storage, entry, p, cause)
		return asAmbiguous(cause)
	}
	err := ctx.Err()
	if err == nil {
		bounded, cancel := context.WithTimeout(ctx, cleanupTimeout)
		defer cancel()
		err = c.Pool.Call(bounded, p.conn, p.config.Vendor, pool.OperationRevoke, func(ctx context.Context) error {
			return revokeAtVendor(ctx, p.conn, entry.Handle)
		})
	}
	if err != nil {
		c.recordUnused(cleanup, storage, entry, p, cause)
		return asAmbiguous(fmt.Errorf("the credential was issued, and it was neither recorded nor revoked: %w", cause))
	}
	c.Pool.Metrics.CountRevoked(entry.Config, entry.Role)
	if err := c.Ledger.Remove(cleanup, storage, entry.Config, entry.ID); err != nil {
		c.Logger().Warn("an intent could not be deleted", logOf(entry, "error", err)...)
	}
	return cause
}

// discardExpired records a credential that has expired by the vendor's own account, so that it is revoked in
// the background, and returns the error for the caller. The vendor's clock may be wrong, and the credential
// alive: its entry keeps the later one of both ends.
func (c *Credentials) discardExpired(ctx context.Context, storage logical.Storage, entry *ledger.Entry, p issueParams, credential *provider.Credential) error {
	entry.Handle, entry.ExpiryNotEnforced = credential.Handle, credential.ExpiryNotEnforced
	if credential.ExpiresAt.After(entry.ExpiresAt) {
		entry.ExpiresAt = credential.ExpiresAt
	}
	return c.discard(ctx, storage, entry, p, &provider.Error{
		Class: provider.ClassAmbiguous, Op: p.vendor.Name() + ": issue",
		Message: "the vendor issued a credential that has already expired", Remedy: "compare the vendor's clock with Vault's",
	})
}

// discard records that a credential cannot be leased, so that it is revoked in the background, and returns
// cause. The class of cause must be one that Vault's client does not repeat: each repetition would create
// another one.
func (c *Credentials) discard(ctx context.Context, storage logical.Storage, entry *ledger.Entry, p issueParams, cause error) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	c.recordUnused(cleanup, storage, entry, p, cause)
	return cause
}

// detachUnused takes away the holder of a reader that gets no lease on a shared credential, and returns cause. If
// that was the last holder, the credential is revoked in the background.
func (c *Credentials) detachUnused(ctx context.Context, storage logical.Storage, reference Reference, p issueParams, cause error) error {
	cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	last, err := c.Ledger.Detach(cleanup, storage, reference.Config, reference.ID, reference.Holder)
	if err != nil || !last {
		return errors.Join(cause, err)
	}
	c.shared.forgetEntry(reference.ID)
	entry, err := c.Ledger.Get(cleanup, storage, reference.Config, reference.ID)
	if err != nil || entry == nil {
		return errors.Join(cause, err)
	}
	return c.discard(ctx, storage, entry, p, cause)
}

// recordUnused marks an entry whose credential no application gets: to be revoked at once by the background
// work, or, where the vendor cannot revoke, to be kept until it has expired. A sweep may have changed the entry
// in between; the handle, which only this caller has, then goes into the changed entry.
func (c *Credentials) recordUnused(ctx context.Context, storage logical.Storage, entry *ledger.Entry, p issueParams, cause error) {
	unused := *entry
	unused.State = ledger.StateExpiring
	if canRevoke(p.conn.Connection, p.vendor.Capabilities()) {
		unused.State, unused.NextAttemptAt = ledger.StateRevoking, c.Clock.Now()
	}
	unused.LastError = lastError(cause)
	err := c.Ledger.Update(ctx, storage, &unused)
	if errors.Is(err, ledger.ErrChanged) {
		var current *ledger.Entry
		if current, err = c.Ledger.Get(ctx, storage, entry.Config, entry.ID); err == nil && current != nil {
			unused.Revision = current.Revision
			err = c.Ledger.Update(ctx, storage, &unused)
		}
	}
	if err != nil {
		// The intent itself is stored; it becomes due by its age.
		c.Logger().Warn("an unused credential could not be recorded", logOf(entry, "error", err)...)
		return
	}
	c.Logger().Warn("a credential that no application got is revoked in the background, or expires",
		logOf(entry, "state", unused.State, "error", cause)...)
}

// withRemedy adds the remedies to a refusal of the ledger.
func withRemedy(err error) error {
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return fmt.Errorf("no credential is free: %w; revoke one, let readers share one with sharing=shared on the role, "+
			"or raise max_credentials if the vendor allows more", err)
	}
	if errors.Is(err, ledger.ErrFrozen) {
		return &provider.Error{Class: provider.ClassInvalid, Message: err.Error()}
	}
	if errors.Is(err, ledger.ErrOriginClosed) {
		return &provider.Error{Class: provider.ClassUnavailable, Message: err.Error(), Remedy: "try again", Err: provider.ErrNotSent}
	}
	return err
}

// rejectionClass is the class under which a refusal of the ledger is counted.
func rejectionClass(err error) provider.Class {
	if _, loading := errors.AsType[*ledger.LoadingError](err); loading {
		return provider.ClassUnavailable
	}
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return provider.ClassCapacity
	}
	return provider.ClassOf(err)
}
