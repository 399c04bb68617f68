package rotation

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/failpoint"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// RevokeRoot revokes the root credential of a config that the engine has created: only Vault knows it, and it has no
// expiry. It is the last vendor call before the config is deleted, and nothing that the config has issued can be
// revoked afterwards. The caller has stored entry as retired, so that no write or rotation can store the config
// again. RevokeRoot does nothing for a root credential that an operator has supplied. It waits 30 seconds for running
// requests, and then 30 seconds for the vendor.
func (r *Rotator) RevokeRoot(ctx context.Context, storage logical.Storage, name string, entry *store.Config) error {
	if entry.RootMarker == "" {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, exclusiveTimeout)
	defer cancel()
	conn, release, err := r.Pool.AcquireExclusive(waiting, storage, name, entry)
	if err != nil {
		return err
	}
	defer release()
	revoker, ok := conn.Connection.(provider.RootRevoker)
	if !ok {
		return &provider.Error{
			Class: provider.ClassInvalid, Message: fmt.Sprintf("the API of vendor %q cannot revoke it", entry.Vendor),
		}
	}
	revoking, stop := context.WithTimeout(ctx, cleanupTimeout)
	defer stop()
	err = r.Pool.Call(revoking, conn, entry.Vendor, pool.OperationRevoke, func(ctx context.Context) error {
		return revoker.RevokeRoot(ctx, entry.RootMarker)
	})
	if err == nil {
		failpoint.Hit("delete.root_revoked")
	}
	return err
}
