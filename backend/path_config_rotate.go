package backend

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

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
		HelpDescription: "Has the vendor make another root credential, or change its password, proves that the new one works, stores it, and " +
			"ends the former. Nobody knows it but Vault afterwards, and it is never read back. Requests of this config wait meanwhile. " +
			"Whatever is interrupted, no root credential is lost: which one is in force is found out with the next request. " +
			"\"info\" tells for each vendor whether its API can do this, and what becomes of credentials that are leased.",
	}
}

func (b *backend) configRotateRoot(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	warnings, err := b.rotateRoot(ctx, req.Storage, name)
	if err != nil {
		b.Logger().Warn("root credential not rotated", "config", name, "error", err)
		b.event(ctx, eventRootRotateFail, "config", name)
		return errorResponse(fmt.Sprintf("config %q", name), err)
	}
	if len(warnings) == 0 {
		return nil, nil
	}
	return &logical.Response{Warnings: warnings}, nil
}
