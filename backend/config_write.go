package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// configUpdate is one write to a config while it runs.
type configUpdate struct {
	*backend
	storage logical.Storage
	name    string
	data    *framework.FieldData
	// patch is true if objects are merged by RFC 7396.
	patch bool
	// verify is true when the vendor must accept the config before it is stored.
	verify bool
	// old is the stored config, or nil if there is none.
	old *store.Config
	// entry is what will be stored, and conn a connection that was opened with it.
	entry *store.Config
	conn  provider.Connection
	// stored is called once it is known whether entry was stored.
	stored   rotation.StoredFunc
	warnings []string
	// requester is who writes.
	requester ledger.Requester
	// leaving is the origin that the write moves the config away from. Nothing is issued there while it runs, and after
	// it, if moved is true.
	leaving string
	moved   bool
	// replacedRoot is the marker of the root credential for which the write has stored an intent.
	replacedRoot string
}

// configWrite creates, updates or patches a config: merge, verify with the vendor, store. No lock is held
// while the vendor is called. The config is stored only if it has not changed since it was read.
func (b *backend) configWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	if b.pool.IsExclusive(name) {
		return nil, pool.ErrRotationInProgress
	}
	if _, given := data.Raw["force"]; given {
		return errorResponse(where, provider.InvalidField("force", "is for deleting a config; a write that leaves credentials behind needs leave_behind=true"))
	}
	old, err := store.ReadConfig(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if old == nil && req.Operation == logical.PatchOperation {
		return nil, logical.CodedError(http.StatusNotFound, where+" does not exist")
	}
	update := &configUpdate{
		backend: b, storage: req.Storage, name: name, data: data, patch: req.Operation == logical.PatchOperation,
		verify: wantsVerification(data), old: old, requester: requesterOf(req),
		stored: func(context.Context, error) []string { return nil },
	}
	defer update.endMove()
	if unchanged, err := update.merge(ctx); err != nil || unchanged {
		if err != nil {
			return b.writerResponse(req, where, err)
		}
		noChange(ctx)
		update.warn(ctx)
		return warningsResponse(update.warnings), nil
	}
	if step, err := update.prepare(ctx); err != nil {
		return b.writerResponse(req, where+step, err)
	}
	if err := update.verifyRoot(ctx); err != nil {
		return b.writerResponse(req, where+" was not stored, verifying the connection failed", err)
	}
	if err := update.commit(ctx); err != nil {
		return nil, err
	}
	return warningsResponse(update.warnings), nil
}

// merge merges the write into the stored config. unchanged is true if that leaves the stored config as it is, and the
// write brings no root credential that must be verified: then there is nothing to do. Other writes to a retired config
// are refused.
func (u *configUpdate) merge(ctx context.Context) (unchanged bool, err error) {
	if err := u.checkReadOnlyFields(ctx); err != nil {
		return false, err
	}
	if u.entry, err = u.mergeConfig(u.old, u.data, u.patch); err != nil || u.old == nil {
		return false, err
	}
	if store.SameRecord(u.old, u.entry) && !u.suppliesRoot(u.entry, u.data) {
		return true, nil
	}
	if u.old.Retired {
		return false, &provider.Error{
			Class: provider.ClassInvalid, Message: "the config is retired",
			Remedy: "it is deleted once its last credential has ended; use another name",
		}
	}
	return false, nil
}

// checkReadOnlyFields refuses to change what is computed.
func (u *configUpdate) checkReadOnlyFields(ctx context.Context) error {
	if u.old == nil {
		return rejectReadOnlyChanges(u.data, readOnlyConfigFields(), nil)
	}
	shown, err := u.describeConfig(ctx, u.storage, u.old)
	if err != nil {
		return err
	}
	return rejectReadOnlyChanges(u.data, readOnlyConfigFields(), shown)
}

// prepare completes what a rotation has left, and opens a connection with the merged config. After an error, step says
// what failed, and nothing is open.
func (u *configUpdate) prepare(ctx context.Context) (step string, err error) {
	merged := u.old
	if err := u.resolveBeforeWrite(ctx); err != nil {
		return "", err
	}
	if u.old != merged {
		if u.entry, err = u.mergeConfig(u.old, u.data, u.patch); err != nil {
			return "", err
		}
	}
	if u.conn, err = u.pool.OpenNext(u.storage, u.name, u.old, u.entry); err != nil {
		return "", err
	}
	if err := u.checkMovable(ctx); err != nil {
		u.conn.Close()
		return "", err
	}
	if err := u.checkPasswordPolicy(ctx); err != nil {
		u.conn.Close()
		return "", err
	}
	bootstrapper, ok := u.conn.(provider.Bootstrapper)
	if !ok || !bootstrapper.NeedsBootstrap() {
		return "", nil
	}
	u.conn, u.stored, err = u.rotator.Bootstrap(ctx, u.storage, u.name, u.entry, u.conn, bootstrapper)
	return " was not stored, creating its root credential failed", err
}

// connectionChanged reports whether the write changes what a connection is opened with.
func (u *configUpdate) connectionChanged() bool {
	return u.old == nil || u.old.ConnectionID != u.entry.ConnectionID
}

// verifyRoot makes a login with the new config if the write changes how the vendor is reached, or brings a root
// credential. One that equals the stored one is verified too: the vendor may refuse it by now.
func (u *configUpdate) verifyRoot(ctx context.Context) error {
	supplied := u.suppliesRoot(u.entry, u.data)
	if !u.verify || !u.connectionChanged() && !supplied {
		return nil
	}
	checked, _, err := u.credentials.Check(ctx, u.storage, u.name, u.entry, u.requester, u.login)
	if err != nil {
		u.discard(ctx, err)
		return err
	}
	u.rotator.Accepted(u.name)
	u.entry.Root.SetExpiry(checked.RootExpiresAt)
	if supplied {
		u.entry.Root.MarkVerified()
	} else {
		u.entry.Root.MarkAccepted()
	}
	u.warnings = append(u.warnings, checked.Warnings...)
	return nil
}

// login makes a login: over the new connection, or over the config's present one if the write changes nothing
// about it. A second connection would end or replace the login that the present one uses.
func (u *configUpdate) login(ctx context.Context) (*provider.CheckResult, error) {
	if u.connectionChanged() {
		verify := u.pool.VerifyNewRoot
		if u.old != nil && !u.old.Root.Unverified && u.pool.RootID(u.old) == u.pool.RootID(u.entry) {
			verify = u.pool.VerifyStoredRoot
		}
		return verify(ctx, u.name, u.entry, u.conn)
	}
	conn, rotating, err := u.pool.TryAcquire(u.storage, u.name, u.old)
	switch {
	case err != nil:
		return nil, err
	case rotating != nil:
		return nil, pool.ErrRotationInProgress
	}
	defer conn.Release()
	return u.pool.Check(ctx, conn, u.entry.Vendor)
}

// commit stores the new config and makes its connection the config's.
func (u *configUpdate) commit(ctx context.Context) error {
	if err := u.replaceCreatedRoot(ctx); err != nil {
		u.discard(ctx, err)
		return err
	}
	if err := u.store.CompareAndSwapConfig(ctx, u.storage, u.name, u.old, u.entry); err != nil {
		u.discard(ctx, err)
		return err
	}
	u.moved = true
	u.ledger.EnterOrigin(u.name, u.entry.Origin(u.providers[u.entry.Vendor])) // in case the config was moved back
	if u.connectionChanged() {
		u.pool.Swap(ctx, u.storage, u.name, u.old, u.entry, u.conn)
		u.warnings = append(u.warnings, u.stored(ctx, nil)...)
		u.warnings = append(u.warnings, u.rotator.RevokeOrphanedRoots(ctx, u.storage, u.name, u.entry)...)
	} else {
		u.conn.Close()
		u.pool.RefreshLimit(ctx, u.storage, u.name)
	}
	u.warn(ctx)
	return nil
}

// checkPasswordPolicy refuses a password policy that Vault does not have, if the write may have set it: the first
// rotation would fail otherwise.
func (u *configUpdate) checkPasswordPolicy(ctx context.Context) error {
	vendor := u.providers[u.entry.Vendor]
	for field, schema := range vendor.ConfigFields() {
		if !store.IsSensitive(schema) && (u.old == nil || !sameField(u.old, u.entry, vendor, field)) {
			return u.rotator.CheckPasswordPolicy(ctx, u.conn)
		}
	}
	return nil
}

// replaceCreatedRoot records that the root credential which the engine has created must be revoked when the write
// replaces it: only Vault knows it. The new one revokes it, which proves that the new one works.
func (u *configUpdate) replaceCreatedRoot(ctx context.Context) error {
	if u.old == nil || u.old.RootMarker == "" || u.old.RootMarker == u.entry.RootMarker {
		return nil
	}
	vendor := u.providers[u.entry.Vendor]
	if u.old.Origin(vendor) != u.entry.Origin(vendor) {
		u.warnings = append(u.warnings, fmt.Sprintf("the previous root credential %q at %s, which only Vault knew, is not revoked: revoke it there",
			u.old.RootMarker, u.old.Address))
		return nil
	}
	intent := store.RootIntent{Marker: u.old.RootMarker, At: u.clock.Now(), Replaced: true}
	if err := u.store.PutRootIntent(ctx, u.storage, u.name, intent); err != nil {
		return err
	}
	u.replacedRoot = intent.Marker
	return nil
}

// discard ends the login of a config that was not stored, because of cause. A connection that shares the stored
// config's login is only closed.
func (u *configUpdate) discard(ctx context.Context, cause error) {
	if u.connectionChanged() {
		u.pool.Logout(ctx, u.name, u.conn)
	} else {
		u.conn.Close()
	}
	u.stored(ctx, cause)
	if u.replacedRoot == "" || errors.Is(cause, store.ErrIndeterminate) {
		return // the write may be stored all the same
	}
	if err := u.store.ClearRootIntent(context.WithoutCancel(ctx), u.storage, u.name, u.replacedRoot); err != nil {
		u.Logger().Warn("the intent of a root credential that was not replaced could not be deleted; it is deleted later", "config", u.name, "error", err)
	}
}

// resolveBeforeWrite completes what a rotation has left, since the write can make that impossible. Unless the
// write supplies a root credential, it finds out which one the vendor accepts. If the write does supply one,
// the previous root credential is revoked first: only the present one can do that, at the present address.
func (u *configUpdate) resolveBeforeWrite(ctx context.Context) error {
	if u.old == nil || u.providers[u.old.Vendor] == nil {
		return nil
	}
	supplied := u.suppliesRoot(u.old, u.data)
	forget := false
	switch {
	case u.old.Root.InDoubt() && !supplied:
		if err := u.rotator.ResolveRoot(ctx, u.storage, u.name); err != nil && u.verify {
			return fmt.Errorf("%w; verify_connection=false stores a setting before that is known", err)
		}
	case u.old.Root.Previous != nil && rootChanged(u.old, u.data, u.providers[u.old.Vendor]):
		err := u.rotator.RevokePrevious(ctx, u.storage, u.name)
		forget = err != nil && u.data.Get("leave_behind").(bool)
		switch {
		case forget:
			u.warnings = append(u.warnings, "the config forgets the previous root credential, revoke it at the vendor: "+u.hideVendorText(u.name, err))
		case err != nil:
			return fmt.Errorf("%w; only the present root credential can do that, so the config keeps it: try again, or revoke the previous one "+
				"at the vendor and write with leave_behind=true", err)
		}
	default:
		return nil
	}
	current, err := store.ReadConfig(ctx, u.storage, u.name)
	if current != nil && forget {
		current.Root.Previous = nil
	}
	u.old = current
	return err
}

// checkMovable refuses to move a config to another address while credentials are live at the present one, or may still
// appear there: they could not be revoked. With leave_behind=true, it names them. From here until the end of the write, reads
// issue nothing at the present address.
func (u *configUpdate) checkMovable(ctx context.Context) error {
	if u.old == nil {
		return nil
	}
	leaveBehind := u.data.Get("leave_behind").(bool)
	vendor := u.providers[u.entry.Vendor]
	present := u.old.Origin(vendor)
	if present == u.entry.Origin(vendor) {
		return nil
	}
	if err := u.ledger.CloseOrigin(ctx, u.storage, u.name, present, leaveBehind); err != nil {
		if _, inUse := errors.AsType[*ledger.InUseError](err); !inUse {
			return err
		}
		return fmt.Errorf("%w; %s", err, u.moveRemedy())
	}
	u.leaving = present
	if leaveBehind {
		return u.warnLeftBehind(ctx)
	}
	return nil
}

// moveRemedy says why a config with live credentials is not moved, and what to do.
func (u *configUpdate) moveRemedy() string {
	if u.old.TrustID != u.entry.TrustID && u.old.Address == u.entry.Address {
		return "they were issued with another root credential than the one that this write proves to know, so they are not sent over another TLS trust: " +
			"change the trust with trust/<name>, revoke their leases first, or write with leave_behind=true and wait until they have expired"
	}
	return "they live at the present address, and could be neither renewed nor revoked: revoke their leases first, " +
		"use another config, or write with leave_behind=true and wait until they have expired"
}

// maxNamed bounds how many markers a warning names.
const maxNamed = 20

// warnLeftBehind names the credentials that a forced move leaves at the previous address.
func (u *configUpdate) warnLeftBehind(ctx context.Context) error {
	entries, err := u.ledger.List(ctx, u.storage, u.name)
	if err != nil {
		return err
	}
	next := u.entry.Origin(u.providers[u.entry.Vendor])
	left := slices.DeleteFunc(entries, func(entry ledger.Entry) bool {
		return entry.Check || entry.Origin == next // the config may be moved back to where it has issued
	})
	if len(left) == 0 {
		return nil
	}
	markers := namesAtVendor(left)
	more := ""
	if len(markers) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(markers)-maxNamed)
		markers = markers[:maxNamed]
	}
	u.warnings = append(u.warnings, fmt.Sprintf("credentials at %s can be neither renewed nor revoked any more, and keep their slots until they have expired: %s%s",
		u.old.Address, strings.Join(markers, ", "), more))
	return nil
}

// endMove lets the config issue at its present address again if it was not moved. If it was moved, the previous
// address stays closed: a request that read the config before the move would issue there.
func (u *configUpdate) endMove() {
	switch {
	case u.leaving == "":
	case u.moved:
		u.ledger.LeaveOrigin(u.name, u.leaving)
	default:
		u.ledger.OpenOrigin(u.name, u.leaving)
	}
}
