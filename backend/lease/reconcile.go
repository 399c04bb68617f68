package lease

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/marker"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// ReconcileResult is the outcome of a comparison with the vendor.
type ReconcileResult struct {
	// Reconciled is true when the vendor can list what this mount has created.
	Reconciled bool
	// Orphans are the markers that the vendor listed and the ledger does not have.
	Orphans []string
	// OrphansRevoked is how many of them were revoked.
	OrphansRevoked int
}

// ReportOrphans reports credentials at the vendor that carry this mount's marker and are not in the ledger, in
// the log and by an event. It revokes none: every credential is recorded before it exists, so there are
// orphans only if storage was set back. Then this Vault may be a copy, and its original may be running and have
// issued them. An operator decides, and tidies.
func (c *Credentials) ReportOrphans(ctx context.Context, storage logical.Storage, name string, config *store.Config, conn *pool.Conn) error {
	found, err := c.Reconcile(ctx, storage, config, conn, true)
	if err != nil || len(found.Orphans) == 0 {
		return err
	}
	c.Logger().Warn("the vendor lists credentials of this mount that are not in its ledger; see config/<name>/tidy", "config", name, "markers", found.Orphans)
	c.SendEvent(ctx, EventOrphansFound, "config", name, "count", strconv.Itoa(len(found.Orphans)))
	return nil
}

// Reconcile compares the vendor's list with the ledger and revokes the orphans, unless it is a dry run.
// Credentials of other mounts and of people are never touched.
func (c *Credentials) Reconcile(ctx context.Context, storage logical.Storage, config *store.Config, conn *pool.Conn, dryRun bool) (ReconcileResult, error) {
	var result ReconcileResult
	lister, ok := conn.Connection.(provider.Lister)
	if !ok {
		return result, nil
	}
	if _, ok := conn.Connection.(provider.MarkerRevoker); !ok {
		return result, fmt.Errorf("the vendor's connection %T lists markers and cannot revoke them", conn.Connection)
	}
	prefix, err := c.Markers.Prefix(ctx, storage)
	if err != nil {
		return result, err
	}
	list := func() (map[string]bool, error) {
		var listed []provider.Listed
		err := c.Pool.Call(ctx, conn, config.Vendor, pool.OperationList, func(ctx context.Context) (err error) {
			listed, err = lister.List(ctx, prefix)
			return err
		})
		markers := make(map[string]bool, len(listed))
		for _, credential := range listed {
			markers[credential.Marker] = true
		}
		return markers, err
	}
	result.Orphans, err = c.orphans(ctx, storage, prefix, list)
	if err != nil {
		return result, err
	}
	result.Reconciled = true
	if dryRun {
		return result, nil
	}
	for _, name := range result.Orphans {
		if _, err := c.endMarked(ctx, config, conn, name); err != nil {
			return result, fmt.Errorf("revoking %s: %w", name, err)
		}
		c.Logger().Info("revoked a credential that was not in the ledger", "vendor", config.Vendor, "marker", name)
		result.OrphansRevoked++
	}
	return result, nil
}

// orphans returns the markers that the vendor lists and the ledger does not have, sorted. A credential that is
// revoked while the vendor is listing is in the ledger before the list, one that is issued then is in the ledger
// after it, and one that is issued and revoked then is not in a second list.
func (c *Credentials) orphans(ctx context.Context, storage logical.Storage, prefix string, list func() (map[string]bool, error)) ([]string, error) {
	known, err := c.liveIDs(ctx, storage, prefix)
	if err != nil {
		return nil, err
	}
	listed, err := list()
	if err != nil {
		return nil, err
	}
	live, err := c.liveIDs(ctx, storage, prefix)
	if err != nil {
		return nil, err
	}
	maps.Copy(known, live)
	maps.DeleteFunc(listed, func(name string, _ bool) bool {
		id, complete := marker.ID(name, prefix)
		return !complete || known[id]
	})
	if len(listed) == 0 {
		return nil, nil
	}
	again, err := list()
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(listed, func(name string, _ bool) bool { return !again[name] })
	return slices.Sorted(maps.Keys(listed)), nil
}

// liveIDs are the ids of everything that this mount has created and not revoked, under any config: two configs
// may use the same vendor account.
func (c *Credentials) liveIDs(ctx context.Context, storage logical.Storage, prefix string) (map[string]bool, error) {
	live := make(map[string]bool)
	names, err := c.Ledger.Configs(ctx, storage)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		ids, err := c.Ledger.IDs(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			live[id] = true
		}
	}
	roots, err := c.rootMarkers(ctx, storage)
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		if id, complete := marker.ID(root, prefix); complete {
			live[id] = true
		}
	}
	return live, nil
}

// rootMarkers are the markers of the root credentials that this mount has created or is creating.
func (c *Credentials) rootMarkers(ctx context.Context, storage logical.Storage) ([]string, error) {
	var markers []string
	configs, err := c.Store.ConfigNames(ctx, storage)
	if err != nil {
		return nil, err
	}
	for _, name := range configs {
		config, err := c.Store.Config(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		if config != nil {
			markers = append(markers, config.RootMarker)
		}
	}
	intended, err := c.Store.RootIntentConfigs(ctx, storage)
	if err != nil {
		return nil, err
	}
	for _, name := range intended {
		intents, err := c.Store.RootIntents(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		for _, intent := range intents {
			markers = append(markers, intent.Marker)
		}
	}
	return markers, nil
}
