package backend

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// revokeEntry revokes an entry's credential at the vendor and strikes the entry out. When that fails, the
// entry says so and is tried again by the periodic run. Ending twice is harmless.
func (b *backend) revokeEntry(ctx context.Context, storage logical.Storage, entry *ledger.Entry) error {
	config, conn, err := b.acquireConfig(ctx, storage, entry.Config)
	if err != nil {
		b.scheduleRetry(ctx, storage, entry, err)
		return err
	}
	defer conn.release()
	if err := b.checkOrigin(entry, config); err != nil {
		b.scheduleRetry(ctx, storage, entry, err)
		return err
	}
	can := b.providers[config.Vendor].Capabilities()
	if entry.Handle != nil && !canRevoke(conn.Connection, can) || entry.Handle == nil && can.Marker == "" {
		return b.letExpire(ctx, storage, entry, config)
	}
	failpoint("revoke.begun")
	err = b.callVendor(conn, config.Vendor, operationRevoke, func() error { return revokeAtVendor(ctx, conn, entry) })
	if err != nil {
		b.scheduleRetry(ctx, storage, entry, err)
		return err
	}
	failpoint("revoke.revoked")
	if entry.Attempts > 0 {
		b.event(ctx, eventRevoke, "config", entry.Config, "role", entry.Role, "id", entry.ID)
	}
	return b.deleteEntry(ctx, storage, entry, config)
}

// canRevoke reports whether the vendor can end a credential before its expiry, under this configuration.
func canRevoke(conn provider.Connection, can provider.Capabilities) bool {
	if optional, ok := conn.(provider.ConditionalRevoker); ok && !optional.CanRevoke() {
		return false
	}
	return can.Revokes
}

// revokeAtVendor asks the vendor to end the credential: by its handle, or, when its answer never
// came, by its marker.
func revokeAtVendor(ctx context.Context, conn *connection, entry *ledger.Entry) error {
	if entry.Handle != nil {
		revoker, ok := conn.Connection.(provider.Revoker)
		if !ok {
			return fmt.Errorf("the vendor's connection %T cannot revoke although its capabilities say so", conn.Connection)
		}
		return revoker.Revoke(ctx, entry.Handle)
	}
	revoker, ok := conn.Connection.(provider.MarkerRevoker)
	if !ok {
		return fmt.Errorf("the vendor's connection %T cannot revoke by marker although its capabilities say so", conn.Connection)
	}
	return revoker.RevokeMarker(ctx, entry.Marker)
}

// deleteEntry removes an entry, and its config if that was waiting for it to go.
func (b *backend) deleteEntry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *configEntry) error {
	ctx = context.WithoutCancel(ctx)
	if entry.IsShared() {
		b.shared.forgetEntry(entry.ID)
		// Only after its expiry are holders left whose leases were lost.
		if err := b.ledger.DetachAll(ctx, storage, entry.ID); err != nil {
			return err
		}
	}
	if err := b.ledger.Remove(ctx, storage, entry.Config, entry.ID); err != nil {
		return err
	}
	if config != nil && config.Retired {
		b.deleteRetired(ctx, storage, entry.Config)
	}
	return nil
}

// letExpire keeps the account of a credential that its vendor cannot end, until it has expired.
func (b *backend) letExpire(ctx context.Context, storage logical.Storage, entry *ledger.Entry, config *configEntry) error {
	if !b.clock.Now().Before(entry.ExpiresAt) {
		return b.deleteEntry(ctx, storage, entry, config)
	}
	if entry.State == ledger.StateExpiring {
		return nil
	}
	entry.State = ledger.StateExpiring
	return b.ledger.Update(ctx, storage, entry)
}

// scheduleRetry writes down that a revocation failed and when to try again.
func (b *backend) scheduleRetry(ctx context.Context, storage logical.Storage, entry *ledger.Entry, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	pause := min(firstRetry<<min(entry.Attempts, 10), lastRetry)
	if errors.Is(cause, errNotSent) {
		pause = firstRetry // the vendor said nothing, so this was no attempt
	} else {
		entry.Attempts++
	}
	pause = max(pause, provider.RetryAfterOf(cause))
	entry.State = ledger.StateRevoking
	entry.NextAttemptAt = b.clock.Now().Add(pause)
	entry.LastError = cause.Error()
	err := b.ledger.Update(ctx, storage, entry)
	if errors.Is(err, ledger.ErrChanged) {
		return // another attempt was faster, and has either ended it or written down its own failure
	}
	if err != nil {
		b.Logger().Error("a failed revocation could not be written down", "config", entry.Config, "id", entry.ID, "error", err)
	}
	b.event(ctx, eventRevokeFail, "config", entry.Config, "role", entry.Role, "id", entry.ID,
		"attempts", strconv.Itoa(entry.Attempts), "next_attempt_at", formatTime(entry.NextAttemptAt))
	b.Logger().Warn("revocation failed, will be tried again", "config", entry.Config, "role", entry.Role, "id", entry.ID,
		"attempts", entry.Attempts, "next", entry.NextAttemptAt, "error", cause)
}
