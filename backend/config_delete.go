package backend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// configDelete deletes a config without live credentials, or, forced, retires one that has some.
func (b *backend) configDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	if b.connections.isExclusive(name) {
		return nil, errRotationInProgress
	}
	entry, err := readConfig(ctx, req.Storage, name)
	if err != nil || entry == nil {
		return nil, err
	}
	if data.Get("abandon").(bool) {
		return b.abandonConfig(ctx, req.Storage, name, entry)
	}
	left, err := b.resolveBeforeDelete(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 && !data.Get("force").(bool) {
		return nil, logical.CodedError(http.StatusConflict, fmt.Sprintf("config %q: %s; or delete with force=true", name, strings.Join(left, "; ")))
	}
	if entry, err = readConfig(ctx, req.Storage, name); err != nil || entry == nil {
		return nil, err
	}
	err = b.deleteConfig(ctx, req.Storage, name, entry)
	if inUse, busy := errors.AsType[*ledger.InUseError](err); busy {
		if !data.Get("force").(bool) {
			return errorResponse(fmt.Sprintf("config %q", name), fmt.Errorf(
				"%w; revoke their leases first, or delete with force=true to retire the config until they have ended", inUse))
		}
		response, err := b.retireConfig(ctx, req.Storage, name, inUse.Used)
		if response != nil {
			response.Warnings = append(response.Warnings, left...)
		}
		return response, err
	}
	if err != nil || len(left) == 0 {
		return nil, err
	}
	return &logical.Response{Warnings: left}, nil
}

// resolveBeforeDelete ends the root credentials that nobody could end without the config, and tells what is lost with
// it or left at the vendor.
func (b *backend) resolveBeforeDelete(ctx context.Context, storage logical.Storage, name string) (left []string, err error) {
	if err := b.revokePrevious(ctx, storage, name); err != nil {
		left = append(left, "what a rotation of the root credential has left could not be settled: "+err.Error())
	}
	entry, err := readConfig(ctx, storage, name)
	if err != nil || entry == nil {
		return nil, err
	}
	noted, err := rootIntents(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	if len(noted) > 0 {
		config, conn, err := b.acquireConfig(ctx, storage, name)
		if err != nil {
			return append(left, "root credentials that may be left of earlier attempts could not be looked for: "+err.Error()), nil
		}
		defer conn.release()
		left = append(left, b.revokeOrphanedRoots(ctx, storage, name, config.RootMarker, conn.Connection)...)
		if noted, err := rootIntents(ctx, storage, name); err != nil || len(noted) > 0 && len(left) == 0 {
			left = append(left, "an attempt to make a root credential has just begun or been lost; what it may have made is ended two minutes after it")
		}
	}
	if entry.Root.VaultManaged {
		left = append(left, "nobody but Vault knows the root credential, and it is lost with the config: set another at the vendor first, and write it here")
	}
	return left, nil
}

// deleteConfig removes a config that has no entries in the ledger, and the engine's login with it.
func (b *backend) deleteConfig(ctx context.Context, storage logical.Storage, name string, entry *configEntry) error {
	if err := b.ledger.Freeze(ctx, storage, name, entry.UID); err != nil {
		return err
	}
	if conn, err := b.connections.acquire(storage, name, entry); err == nil {
		conn.release()
	}
	if err := b.deleteIfUnchanged(ctx, storage, name, entry); err != nil {
		b.ledger.Unfreeze(name)
		return err
	}
	b.connections.remove(ctx, name, b.logoutWarning(name))
	if err := logical.ClearView(ctx, logical.NewStorageView(storage, sessionPrefix+name+"/")); err != nil {
		return fmt.Errorf("deleting the sessions of config %q: %w", name, err)
	}
	return nil
}

// deleteIfUnchanged deletes a config unless it was changed since entry was read: a rotation may have stored a root
// credential that nobody else knows.
func (b *backend) deleteIfUnchanged(ctx context.Context, storage logical.Storage, name string, entry *configEntry) error {
	b.writeMutex.Lock()
	defer b.writeMutex.Unlock()
	defer b.configs.forget(name)
	current, err := readConfig(ctx, storage, name)
	if err != nil {
		return err
	}
	if current != nil && current.Revision != entry.Revision {
		return errConflict(name)
	}
	if err := storage.Delete(ctx, configPrefix+name); err != nil {
		return fmt.Errorf("deleting config %q: %w", name, err)
	}
	return nil
}

func (b *backend) retireConfig(ctx context.Context, storage logical.Storage, name string, used int) (*logical.Response, error) {
	b.writeMutex.Lock()
	defer b.writeMutex.Unlock()
	current, err := readConfig(ctx, storage, name)
	if err != nil || current == nil {
		return nil, err
	}
	current.Retired = true
	if err := b.putConfig(ctx, storage, name, current); err != nil {
		return nil, err
	}
	b.Logger().Info("config retired", "config", name, "credentials", used)
	response := &logical.Response{}
	response.AddWarning(fmt.Sprintf("config %q is retired: it issues no more, and is deleted once its last credential has ended; live now: %d", name, used))
	return response, nil
}

// abandonConfig deletes a retired config with everything that is left of it, on the operator's word.
func (b *backend) abandonConfig(ctx context.Context, storage logical.Storage, name string, entry *configEntry) (*logical.Response, error) {
	if !entry.Retired {
		return errorResponse(fmt.Sprintf("config %q", name), provider.InvalidField("abandon",
			"is for a retired config; delete it with force=true first, which ends its credentials at the vendor if that still answers"))
	}
	entries, err := b.ledger.List(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	markers := make([]string, 0, len(entries))
	for i := range entries {
		b.Logger().Warn("credential abandoned by the operator", "config", name, "id", entries[i].ID, "marker", entries[i].Marker, "state", entries[i].State)
		if err := b.deleteEntry(ctx, storage, &entries[i], nil); err != nil {
			return nil, err
		}
		markers = append(markers, entries[i].Marker)
	}
	if err := b.deleteConfig(ctx, storage, name, entry); err != nil {
		return errorResponse(fmt.Sprintf("config %q", name), err)
	}
	response := &logical.Response{}
	if len(markers) > 0 {
		response.AddWarning("abandoned without the vendor's word: " + strings.Join(markers, ", "))
	}
	return response, nil
}

// deleteRetired deletes a retired config once nothing of it is left.
func (b *backend) deleteRetired(ctx context.Context, storage logical.Storage, name string) {
	if left, err := b.ledger.List(ctx, storage, name); err != nil || len(left) > 0 {
		return
	}
	config, err := b.config(ctx, storage, name)
	if err != nil || config == nil || config.Root.Previous != nil {
		return // the periodic run ends the former root credential first
	}
	if err := b.deleteConfig(ctx, storage, name, config); err != nil {
		b.Logger().Warn("a retired config could not be deleted yet", "config", name, "error", err)
		return
	}
	b.Logger().Info("retired config deleted with its last credential", "config", name)
}
