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
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// configDelete deletes a config without live credentials. With force, it retires a config that has some. A lost
// issue counts as live until its slot is released. Then its marker is searched one last time, and named in a
// warning; if that fails, the config is in use, and force retires it: the search goes on to its regular end.
func (b *backend) configDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	force := data.Get("force").(bool)
	if b.pool.IsExclusive(name) {
		return nil, pool.ErrRotationInProgress
	}
	entry, err := store.ReadConfig(ctx, req.Storage, name)
	if err != nil || entry == nil {
		noChange(ctx)
		return nil, err
	}
	losses, err := b.resolveBeforeDelete(ctx, req.Storage, name)
	if err != nil {
		return b.failDelete(req, name, losses, err)
	}
	if len(losses) > 0 && !force {
		return nil, logical.CodedError(http.StatusConflict, fmt.Sprintf("config %q: %s; or delete with force=true", name, strings.Join(losses, "; ")))
	}
	if entry, err = store.ReadConfig(ctx, req.Storage, name); err != nil || entry == nil {
		noChange(ctx)
		return b.failDelete(req, name, losses, err)
	}
	searched, searchErr := b.lastSearch(ctx, req.Storage, name)
	lost, err := b.endConfig(ctx, req.Storage, name, entry, force, searched)
	losses = append(losses, lost...)
	inUse, busy := errors.AsType[*ledger.InUseError](err)
	switch {
	case busy && !force && searchErr != nil:
		return b.failDelete(req, name, losses, fmt.Errorf(
			"%w: %w; try again when the vendor answers, or delete with force=true to retire the config until the search is over", inUse, searchErr))
	case busy && !force:
		return b.failDelete(req, name, losses, fmt.Errorf(
			"%w; revoke their leases first, or delete with force=true to retire the config until they have ended", inUse))
	case busy:
		response, err := b.retireConfig(ctx, req.Storage, name, inUse.Used)
		if err != nil {
			return b.failDelete(req, name, losses, err)
		}
		if response != nil {
			response.Warnings = append(response.Warnings, losses...)
		}
		return response, nil
	case err != nil:
		return b.failDelete(req, name, losses, err)
	}
	return warningsResponse(losses), nil
}

// failDelete is the answer of a deletion that has failed. It names what is lost all the same.
func (b *backend) failDelete(req *logical.Request, name string, losses []string, err error) (*logical.Response, error) {
	if len(losses) == 0 {
		if err == nil || statusOf(err) == http.StatusInternalServerError {
			return nil, err
		}
		return b.writerResponse(req, fmt.Sprintf("config %q", name), err)
	}
	if err == nil {
		return warningsResponse(losses), nil // another request has deleted the config
	}
	return b.writerResponse(req, fmt.Sprintf("config %q: %s", name, strings.Join(losses, "; ")), err)
}

// lastSearch searches the markers of lost issues one last time, if nothing else is left under the config. It returns
// the entries of those that no search has found.
func (b *backend) lastSearch(ctx context.Context, storage logical.Storage, name string) ([]ledger.Entry, error) {
	unresolved, err := b.credentials.LastSearch(ctx, storage, name)
	if err != nil {
		return nil, fmt.Errorf("the answer to an issue was lost, and what it may have created could not be searched a last time: %w", err)
	}
	return unresolved, nil
}

// resolveBeforeDelete revokes the root credentials that only this config can revoke. It returns what will be
// lost with the config or remain at the vendor.
func (b *backend) resolveBeforeDelete(ctx context.Context, storage logical.Storage, name string) (losses []string, err error) {
	if err := b.rotator.RevokePrevious(ctx, storage, name); err != nil {
		losses = append(losses, "a rotation of the root credential could not be completed: "+b.hideVendorText(name, err))
	}
	entry, err := store.ReadConfig(ctx, storage, name)
	if err != nil || entry == nil {
		return losses, err
	}
	intents, err := b.store.RootIntents(ctx, storage, name)
	if err != nil {
		return losses, err
	}
	if len(intents) > 0 {
		config, conn, err := b.rotator.Acquire(ctx, storage, name)
		if err != nil {
			return append(losses, "root credentials that earlier attempts may have left could not be searched: "+b.hideVendorText(name, err)), nil
		}
		defer conn.Release()
		losses = append(losses, b.rotator.RevokeOrphanedRoots(ctx, storage, name, config)...)
		if intents, err := b.store.RootIntents(ctx, storage, name); err != nil || len(intents) > 0 && len(losses) == 0 {
			losses = append(losses, "an attempt to create a root credential is running, or its answer was lost; two minutes later, what it created can be revoked")
		}
	}
	return append(losses, b.vaultManagedLoss(name, entry)...), nil
}

func (b *backend) retireConfig(ctx context.Context, storage logical.Storage, name string, used int) (*logical.Response, error) {
	retiredBefore := false
	found, err := b.store.ChangeConfig(ctx, storage, name, func(config *store.Config) {
		retiredBefore = config.Retired
		config.Retired = true
	})
	if !found || retiredBefore {
		noChange(ctx)
	}
	if err != nil || !found {
		return nil, err
	}
	b.Logger().Info("config retired", "config", name, "credentials", used)
	response := &logical.Response{}
	response.AddWarning(fmt.Sprintf("config %q is retired: it issues no more credentials, and is deleted when its last credential has ended; live now: %d", name, used))
	return response, nil
}
