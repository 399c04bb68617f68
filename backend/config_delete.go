package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// configDelete deletes a config without live credentials, or, forced, retires one that has some.
func (b *backend) configDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	if b.connections.isSeized(name) {
		return nil, errSeized
	}
	entry, err := readConfig(ctx, req.Storage, name)
	if err != nil || entry == nil {
		return nil, err
	}
	if entry.Root.Former != nil && !data.Get("abandon").(bool) {
		// Nobody could end it without the config.
		if err := b.finishRotation(ctx, req.Storage, name); err != nil && !data.Get("force").(bool) {
			return fail(fmt.Sprintf("config %q", name), fmt.Errorf(
				"%w; the root credential before this one is still alive at the vendor: end it there, and delete with force=true", err))
		}
		if entry, err = readConfig(ctx, req.Storage, name); err != nil || entry == nil {
			return nil, err
		}
	}
	if data.Get("abandon").(bool) {
		return b.abandonConfig(ctx, req.Storage, name, entry)
	}
	err = b.deleteConfig(ctx, req.Storage, name, entry)
	if inUse, busy := errors.AsType[*ledger.InUseError](err); busy {
		if !data.Get("force").(bool) {
			return fail(fmt.Sprintf("config %q", name), fmt.Errorf(
				"%w; revoke their leases first, or delete with force=true to retire the config until they have ended", inUse))
		}
		return b.retireConfig(ctx, req.Storage, name, inUse.Used)
	}
	return nil, err
}

// deleteConfig removes a config that has no entries in the ledger, and the engine's login with it.
func (b *backend) deleteConfig(ctx context.Context, storage logical.Storage, name string, entry *configEntry) error {
	if err := b.ledger.Close(ctx, storage, name, entry.Incarnation); err != nil {
		return err
	}
	if conn, err := b.connections.acquire(storage, name, entry); err == nil {
		conn.release()
	}
	b.connections.remove(ctx, name, func(err error) {
		b.Logger().Warn("the engine's login could not be ended; it ends by itself", "config", name, "error", err)
	})
	b.writeMutex.Lock()
	defer b.writeMutex.Unlock()
	defer b.configs.forget(name)
	err := storage.Delete(ctx, configPrefix+name)
	if err == nil {
		err = logical.ClearView(ctx, logical.NewStorageView(storage, sessionPrefix+name+"/"))
	}
	if err != nil {
		b.ledger.Reopen(name)
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
		return fail(fmt.Sprintf("config %q", name), provider.InvalidField("abandon",
			"is for a retired config; delete it with force=true first, which ends its credentials at the vendor if that still answers"))
	}
	entries, err := b.ledger.List(ctx, storage, name)
	if err != nil {
		return nil, err
	}
	markers := make([]string, 0, len(entries))
	for i := range entries {
		b.Logger().Warn("credential abandoned by the operator", "config", name, "id", entries[i].ID, "marker", entries[i].Marker, "state", entries[i].State)
		if err := b.strikeOut(ctx, storage, &entries[i], nil); err != nil {
			return nil, err
		}
		markers = append(markers, entries[i].Marker)
	}
	if err := b.deleteConfig(ctx, storage, name, entry); err != nil {
		return fail(fmt.Sprintf("config %q", name), err)
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
	if err != nil || config == nil || config.Root.Former != nil {
		return // the periodic run ends the former root credential first
	}
	if err := b.deleteConfig(ctx, storage, name, config); err != nil {
		b.Logger().Warn("a retired config could not be deleted yet", "config", name, "error", err)
		return
	}
	b.Logger().Info("retired config deleted with its last credential", "config", name)
}
