package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/rotation"
)

// completionTimeout bounds the revocation of the previous root credential after a rotation. It does not depend
// on the caller, who may have given up.
const completionTimeout = 30 * time.Second

func (b *backend) pathConfigRotateRoot(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/rotate-root$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "root-credential",
		},
		Fields: map[string]*framework.FieldSchema{"name": name},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.configRotateRoot, Summary: "Replace the root credential by one that only Vault knows.",
				ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
			},
		},
		HelpSynopsis: "Replace the root credential by one that only Vault knows.",
		HelpDescription: "Asks the vendor for another root credential, or changes its password, proves that the new one works, stores it, and " +
			"revokes the previous one. Afterwards only Vault knows the root credential, and it is never read back. Requests of this config " +
			"wait during the rotation. No interruption loses a root credential: the next request finds out which one the vendor accepts. " +
			"The path \"info\" shows for each vendor whether its API can do this, and what happens to leased credentials.",
	}
}

func (b *backend) configRotateRoot(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	warnings, err := b.rotateRoot(ctx, req.Storage, name)
	if err != nil {
		b.Logger().Warn("root credential not rotated", "config", name, "error", err)
		b.sendEvent(ctx, rotation.EventRotateFail, "config", name)
		return b.writerResponse(req, fmt.Sprintf("config %q", name), err)
	}
	return warningsResponse(warnings), nil
}

// rotateRoot rotates a config's root credential and revokes the previous one. It returns warnings for the
// operator. The worker deletes the ledger entries of the credentials that the rotation has ended.
func (b *backend) rotateRoot(ctx context.Context, storage logical.Storage, name string) ([]string, error) {
	warnings, err := b.rotator.Rotate(ctx, storage, name)
	b.countRotation(ctx, storage, name, err)
	if err != nil {
		return nil, err
	}
	b.Logger().Info("root credential rotated", "config", name)
	b.sendEvent(ctx, rotation.EventRotate, "config", name)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completionTimeout)
	defer cancel()
	if err := b.rotator.RevokePrevious(ctx, storage, name); err != nil {
		warnings = append(warnings, "the root credential is rotated; the remaining work will be retried: "+b.hideVendorText(name, err))
	}
	return warnings, nil
}

// countRotation counts a rotation by its outcome. A request that the vendor's API has no call for, or that finds another
// rotation running, is none.
func (b *backend) countRotation(ctx context.Context, storage logical.Storage, name string, outcome error) {
	config, err := b.store.Config(ctx, storage, name)
	if err != nil || config == nil || errors.Is(outcome, pool.ErrRotationInProgress) {
		return
	}
	if vendor := b.providers[config.Vendor]; vendor != nil && vendor.Capabilities().RotatesRoot {
		b.pool.Metrics.CountRotation(name, config.Vendor, outcome)
	}
}
