package backend

import (
	"context"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/metrics"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func (b *backend) pathMetrics() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "metrics$",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "metrics"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.metricsRead, Summary: "Read the mount's metrics in Prometheus' text format.",
				ForwardPerformanceStandby: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "Metrics in Prometheus' text format.", MediaType: metrics.ContentType(),
				}}},
			},
		},
		HelpSynopsis: "The mount's metrics in Prometheus' text format.",
		HelpDescription: "Contains, for each config: the requests to the vendor with result and duration, the state of the root credential and " +
			"its rotation, the circuit breaker, the waiting for turns and slots, the credentials by state, and the pending and failing " +
			"revocations; and for each role the issued, renewed and revoked credentials. Reading it requires a token, as for every other path.",
	}}
}

// metricsRead returns the counters of this process and the present state of the mount.
func (b *backend) metricsRead(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	configs, err := b.configsWithRoles(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	known := make([]metrics.Config, 0, len(configs))
	for _, c := range configs {
		known = append(known, metrics.Config{
			Name: c.name, Vendor: c.entry.Vendor, Roles: c.roles, Operations: operationsOf(b.providers[c.entry.Vendor]),
		})
	}
	b.pool.Metrics.Sync(known)

	state := metrics.NewState()
	state.SetBuild(Version)
	state.SetWorkerRun(b.background.lastRun())
	for _, c := range configs {
		described, err := b.configState(ctx, req.Storage, c.name, c.entry)
		if err != nil {
			return nil, err
		}
		state.SetConfig(described)
	}
	text, err := metrics.Text(strings.TrimSuffix(req.MountPoint, "/"), b.pool.Metrics, state)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode:  http.StatusOK,
		logical.HTTPContentType: metrics.ContentType(),
		logical.HTTPRawBody:     text,
	}}, nil
}

// namedConfig is a config with the names of its roles.
type namedConfig struct {
	name  string
	entry *store.Config
	roles []string
}

// configsWithRoles returns the configs in the order of their names. Of the roles, it looks at the first
// metrics.MaxRoles: more have no series of their own.
func (b *backend) configsWithRoles(ctx context.Context, storage logical.Storage) ([]namedConfig, error) {
	names, err := b.store.ConfigNames(ctx, storage)
	if err != nil {
		return nil, err
	}
	roleNames, err := storage.List(ctx, store.RolePrefix)
	if err != nil {
		return nil, err
	}
	roles := make(map[string][]string, len(names))
	for _, roleName := range roleNames[:min(len(roleNames), metrics.MaxRoles)] {
		role, err := b.store.Role(ctx, storage, roleName)
		if err != nil {
			return nil, err
		}
		if role != nil {
			roles[role.Config] = append(roles[role.Config], roleName)
		}
	}
	configs := make([]namedConfig, 0, len(names))
	for _, name := range names {
		entry, err := b.store.Config(ctx, storage, name)
		if err != nil {
			return nil, err
		}
		if entry != nil {
			configs = append(configs, namedConfig{name: name, entry: entry, roles: roles[name]})
		}
	}
	return configs, nil
}

// operationsOf returns the operations at a vendor that a config can have.
func operationsOf(vendor provider.Provider) []string {
	operations := []string{pool.OperationIssue, pool.OperationCheck}
	if vendor == nil {
		return operations // the config was written by a later version of the plugin
	}
	can := vendor.Capabilities()
	if can.Renewal != provider.RenewalNone {
		operations = append(operations, pool.OperationRenew)
	}
	if can.Revokes {
		operations = append(operations, pool.OperationRevoke)
	}
	if can.Marker != "" {
		operations = append(operations, pool.OperationList)
	}
	if can.RotatesRoot {
		operations = append(operations, pool.OperationRotate)
	}
	return operations
}

// configState returns the present state of a config.
func (b *backend) configState(ctx context.Context, storage logical.Storage, name string, entry *store.Config) (metrics.ConfigState, error) {
	status := b.pool.RootStatus(entry)
	described := metrics.ConfigState{
		Name: name, Vendor: entry.Vendor, Retired: entry.Retired,
		RootState: entry.Root.String(), RootRejected: status.Rejected, RootAcceptedAt: status.AcceptedAt, RootExpiresAt: status.ExpiresAt,
		BreakerState: string(b.pool.BreakerState(name)), PacingWaiting: b.pool.Waiting(entry),
		LastRotation: entry.Root.RotatedAt, Limit: entry.MaxCredentials, TurnAt: b.background.get(name).turnAt,
	}
	if described.RootExpiresAt.IsZero() {
		described.RootExpiresAt = entry.Root.ExpiresAt // by a check of an earlier process
	}
	if now := b.clock.Now(); !entry.Retired {
		described.NextRotation, described.MissedRotation = entry.NextRotation(now), entry.MissedRotation(now)
		described.RotationWindowEnd = entry.RotationWindowEnd(now)
	}
	stats, err := b.ledger.Stats(ctx, storage, name)
	if err != nil {
		return described, err
	}
	described.Credentials = make(map[string]int)
	for _, state := range ledger.States() {
		described.Credentials[string(state)] = stats.ByState[state]
	}
	described.SlotsUsed = stats.Used
	described.PendingRevocations = stats.ByState[ledger.StateRevoking] + stats.ByState[ledger.StateSearching]
	described.FailedRevocations, described.OldestFailure = stats.Failing, stats.FailingSince
	return described, nil
}
