package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// deletions holds the names of the configs that are being deleted, so that a request and the background work do not
// delete one at the same time: a request whose deletion fails restores the config, and the background work would have
// revoked its root credential. The zero value is ready to use. It is safe for concurrent use.
type deletions struct {
	mu      sync.Mutex
	running map[string]bool
}

// begin reports false while a deletion of the config is running. Otherwise the caller must call end.
func (d *deletions) begin(name string) (end func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running[name] {
		return nil, false
	}
	if d.running == nil {
		d.running = make(map[string]bool)
	}
	d.running[name] = true
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.running, name)
	}, true
}

// endConfig deletes a config that has no other entries in the ledger than those of searches that end with it. If the
// engine has created the config's root credential, it is revoked as the last act: nothing else knows it. If that fails,
// the config stays, unless force is true: then lost names the root credential, and so does the log. After a deletion,
// lost also names the searches. After an error, it names what is lost all the same.
func (b *backend) endConfig(
	ctx context.Context, storage logical.Storage, name string, entry *store.Config, force bool, searched []ledger.Entry,
) (lost []string, err error) {
	end, ok := b.deletions.begin(name)
	if !ok {
		return nil, logical.CodedError(http.StatusConflict, fmt.Sprintf("config %q is being deleted at the moment; read it and try again", name))
	}
	defer end()
	ids := make([]string, 0, len(searched))
	for i := range searched {
		ids = append(ids, searched[i].ID)
	}
	if lost, err = b.endRootAndConfig(ctx, storage, name, entry, force, ids); err != nil {
		return lost, err
	}
	b.credentials.DropSearches(context.WithoutCancel(ctx), storage, searched)
	for i := range searched {
		lost = append(lost, fmt.Sprintf(
			"a credential named %q may still appear at the vendor: the answer to its issue was lost, and no search has found it", searched[i].Marker))
	}
	return lost, nil
}

// endRootAndConfig revokes a root credential that the engine has created, and deletes the config. searched are the IDs
// of the ledger entries that the config may still have.
func (b *backend) endRootAndConfig(
	ctx context.Context, storage logical.Storage, name string, entry *store.Config, force bool, searched []string,
) (lost []string, err error) {
	if entry.RootMarker == "" {
		return nil, b.deleteConfig(ctx, storage, name, entry, searched...)
	}
	if err := b.ledger.Freeze(ctx, storage, name, entry.UID, searched...); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.ledger.Unfreeze(name)
		}
	}()
	// Stored as retired first: a write or a rotation at the same time would store the root credential again after it
	// was revoked. If the process dies, the background work completes the deletion.
	retired := *entry
	retired.Retired = true
	if !entry.Retired {
		if err := b.store.CompareAndSwapConfig(ctx, storage, name, entry, &retired); err != nil {
			return nil, err
		}
	}
	if err := b.rotator.RevokeRoot(ctx, storage, name, &retired); err != nil {
		loss := rootLoss(entry, err)
		if !force {
			b.logHidden(name, err)
			if !b.restoreConfig(ctx, storage, name, entry, &retired) {
				loss += "; the config could not be restored: it is retired, and the background work deletes it when its root credential is revoked"
			}
			return nil, logical.CodedError(http.StatusConflict, fmt.Sprintf("config %q: %s; or delete with force=true", name, loss))
		}
		b.reportRootLoss(ctx, name, entry, err)
		lost = []string{loss}
	}
	return lost, b.deleteConfig(context.WithoutCancel(ctx), storage, name, &retired, searched...)
}

// rootLoss says that a root credential that the engine has created remains at the vendor, without the vendor's text: a user who
// may delete a config need not be allowed to read that.
func rootLoss(entry *store.Config, cause error) string {
	return fmt.Sprintf("the root credential %q at %s, which only Vault knows, could not be revoked, revoke it at the vendor: %s",
		entry.RootMarker, entry.Address, provider.ReaderText(cause))
}

// reportRootLoss records that a root credential that the engine has created remains at the vendor.
func (b *backend) reportRootLoss(ctx context.Context, name string, entry *store.Config, cause error) {
	b.Logger().Error("a root credential that only Vault knew could not be revoked; revoke it at the vendor",
		"config", name, "marker", entry.RootMarker, "vendor", entry.Vendor, "address", entry.Address, "error", cause)
	b.sendEvent(ctx, rotation.EventRevokeFail, "config", name, "marker", entry.RootMarker)
}

// restoreConfig lets a config issue again after a deletion that failed. It reports false if that failed too.
func (b *backend) restoreConfig(ctx context.Context, storage logical.Storage, name string, entry, retired *store.Config) bool {
	if entry.Retired {
		return true
	}
	restored := *entry
	if err := b.store.CompareAndSwapConfig(context.WithoutCancel(ctx), storage, name, retired, &restored); err != nil {
		b.Logger().Warn("a config whose deletion failed stays retired", "config", name, "error", err)
		return false
	}
	return true
}

// deleteConfig removes a config and the engine's login with it. The config has no other entries in the ledger than
// those with the IDs in searched.
func (b *backend) deleteConfig(ctx context.Context, storage logical.Storage, name string, entry *store.Config, searched ...string) error {
	if err := b.ledger.Freeze(ctx, storage, name, entry.UID, searched...); err != nil {
		return err
	}
	if conn, err := b.pool.Acquire(storage, name, entry); err == nil {
		conn.Release()
	}
	if err := b.store.DeleteConfigIfUnchanged(ctx, storage, name, entry); err != nil {
		b.ledger.Unfreeze(name)
		return err
	}
	b.checks.forget(name)
	b.credentials.ForgetCheck(name)
	b.pool.Remove(ctx, name)
	b.pool.RefreshLimit(ctx, storage, name) // a write may have created the config again
	b.pool.Metrics.Forget(name)
	return errors.Join(pool.DeleteSessions(ctx, storage, name), deleteProbeReport(ctx, storage, name))
}

// vaultManagedLoss says that a root credential is lost with its config that replaced another one in place, such as a
// password. It cannot be revoked. One that an operator has written since replaces it once a login with it has succeeded.
func (b *backend) vaultManagedLoss(name string, entry *store.Config) []string {
	switch {
	case !entry.Root.VaultManaged:
		return nil
	case entry.Root.Unverified:
		return []string{fmt.Sprintf("the root credential that was written for %s is not verified, and the one before it, which only Vault knows, is lost "+
			"with the config: write to config/%s/check first, which shows whether the vendor accepts the written one", entry.Address, name)}
	}
	return []string{fmt.Sprintf("only Vault knows the root credential at %s, and it is lost with the config: set another one at the vendor first, "+
		"and write it to the config", entry.Address)}
}

// deleteRetired deletes a retired config that has no ledger entries left. While the vendor cannot be reached, a
// config whose root credential must be revoked stays, and the background work tries again.
func (b *backend) deleteRetired(storage logical.Storage, name string) {
	ctx, cancel := context.WithTimeout(b.lifetime, completionTimeout)
	defer cancel()
	if err := b.tryDeleteRetired(ctx, storage, name); err != nil {
		b.Logger().Warn("a retired config could not be deleted yet", "config", name, "error", err)
	}
}

// tryDeleteRetired is deleteRetired with its error. It does nothing while a request deletes the config.
func (b *backend) tryDeleteRetired(ctx context.Context, storage logical.Storage, name string) error {
	end, ok := b.deletions.begin(name)
	if !ok {
		return nil
	}
	defer end()
	if used, err := b.ledger.InUse(ctx, storage, name); err != nil || used > 0 {
		return err
	}
	config, err := b.store.Config(ctx, storage, name)
	if err != nil || config == nil || !config.Retired || config.Root.Previous != nil {
		return err // restored in the meantime; or the background work revokes the previous root credential first
	}
	if suspended, err := b.isSuspended(ctx, storage, config); err != nil || suspended && config.RootMarker != "" {
		return err // this Vault may be a copy, and the original may use the root credential
	}
	if err := b.ledger.Freeze(ctx, storage, name, config.UID); err != nil {
		return err
	}
	if err := b.rotator.RevokeRoot(ctx, storage, name, config); err != nil {
		if !refused(err) {
			return err
		}
		b.reportRootLoss(ctx, name, config, err)
	}
	if err := b.deleteConfig(ctx, storage, name, config); err != nil {
		return err
	}
	b.Logger().Info("retired config deleted with its last credential", "config", name)
	for _, loss := range b.vaultManagedLoss(name, config) {
		b.Logger().Warn(loss, "config", name, "vendor", config.Vendor)
	}
	return nil
}

// refused reports whether the vendor has answered that it does not do what was asked, and would again.
func refused(err error) bool {
	if errors.Is(err, provider.ErrNotSent) {
		return false
	}
	switch provider.ClassOf(err) {
	case provider.ClassInvalid, provider.ClassUnauthenticated, provider.ClassForbidden, provider.ClassNotFound:
		return true
	default:
		return false
	}
}
