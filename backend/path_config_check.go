package backend

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
)

func (b *backend) pathConfigCheck(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/check$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "check", OperationSuffix: "config",
		},
		Fields: map[string]*framework.FieldSchema{"name": name},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.configCheck, Summary: "Log in to the vendor with the stored root credential.",
				ForwardPerformanceStandby: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "The login succeeded.",
					Fields: map[string]*framework.FieldSchema{
						"vendor":          {Type: framework.TypeString, Required: true, Description: "Vendor of the product."},
						"address":         {Type: framework.TypeString, Required: true, Description: "Its address."},
						"identity":        {Type: framework.TypeString, Required: true, Description: "Which user or key the vendor identifies the root credential as."},
						"root_expires_at": {Type: framework.TypeString, Description: "When the root credential itself expires (RFC 3339, UTC). Empty if never or unknown."},
						"latency_ms":      {Type: framework.TypeInt64, Required: true, Description: "How long the login took, in milliseconds."},
						"details":         {Type: framework.TypeMap, Description: "Further facts from the vendor's answer."},
					},
				}}},
			},
		},
		HelpSynopsis:    "Log in to the vendor with the stored root credential.",
		HelpDescription: "Makes a real login and returns the identity of the root credential, its own expiry, and the vendor's response time.",
	}
}

func (b *backend) configCheck(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	ctx = pool.WithProbe(ctx) // the operator wants to know how the vendor is now
	entry, conn, err := b.rotator.Acquire(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(fmt.Sprintf("config %q", name), err)
	}
	defer conn.Release()
	began := b.clock.Now()
	checked, err := b.pool.Check(ctx, conn, entry.Vendor)
	if err != nil {
		b.credentials.Doubt(name)
		return errorResponse(fmt.Sprintf("config %q", name), err)
	}
	return &logical.Response{
		Data: map[string]any{
			"vendor":          entry.Vendor,
			"address":         entry.Address,
			"identity":        checked.Identity,
			"root_expires_at": formatTime(checked.RootExpiresAt),
			"latency_ms":      b.clock.Now().Sub(began).Milliseconds(),
			"details":         checked.Details,
		},
		Warnings: checked.Warnings,
	}, nil
}

// formatTime renders a time as RFC 3339 in UTC, and the zero time as an empty string.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
