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

// handleIssueError deletes the intent when the vendor certainly created nothing. Otherwise the intent stays:
// to be revoked by its marker where the vendor carries one, or else until the credential must have expired.
func (c *Credentials) handleIssueError(ctx context.Context, storage logical.Storage, entry *ledger.Entry, vendor provider.Provider, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if provider.ClassOf(cause).Definite() {
		if err := c.Ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
			// The background work will find that no credential carries the marker.
			c.Logger().Warn("an intent could not be deleted", "config", entry.Config, "id", entry.ID, "error", err)
		}
		return cause
	}
	can := vendor.Capabilities()
	outcome := "a credential that it may have created cannot be found or revoked, and expires by itself"
	entry.State = ledger.StateExpiring
	if can.Marker != "" {
		outcome = "a credential that it may have created is searched by its " + can.Marker + " and revoked"
		entry.State = ledger.StateRevoking
		entry.NextAttemptAt = c.Clock.Now()
	}
	entry.LastError = cause.Error()
	if err := c.Ledger.Update(ctx, storage, entry); err != nil {
		// The intent itself is stored; it becomes due by its age.
		c.Logger().Warn("an intent could not be marked for revocation", "config", entry.Config, "id", entry.ID, "error", err)
	}
	c.SendEvent(ctx, EventCreateUnknown, "config", entry.Config, "role", entry.Role, "id", entry.ID, "marker", entry.Marker)
	c.Logger().Warn("issue: the vendor's answer was lost", "config", entry.Config, "role", entry.Role, "marker", entry.Marker, "outcome", outcome)
	return fmt.Errorf("%w; %s", cause, outcome)
}

// revokeUnrecorded revokes a credential whose ledger entry could not be completed, and returns cause.
func (c *Credentials) revokeUnrecorded(ctx context.Context, storage logical.Storage, entry *ledger.Entry, p issueParams, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if !canRevoke(p.conn.Connection, p.vendor.Capabilities()) {
		return cause
	}
	err := c.Pool.Call(ctx, p.conn, p.config.Vendor, pool.OperationRevoke, func(ctx context.Context) error { return revokeAtVendor(ctx, p.conn, entry) })
	if err != nil {
		// The intent stays in storage and becomes due by its age.
		c.Logger().Warn("an unrecorded credential could not be revoked yet", "config", entry.Config, "marker", entry.Marker, "error", err)
		return cause
	}
	if err := c.Ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
		c.Logger().Warn("an intent could not be deleted", "config", entry.Config, "id", entry.ID, "error", err)
	}
	return cause
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
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return provider.ClassCapacity
	}
	return provider.ClassOf(err)
}
