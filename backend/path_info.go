package backend

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// operationPrefix begins the operation ids of the generated OpenAPI document.
const operationPrefix = "vendorauth"

func (b *backend) pathInfo() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "info$",
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "info"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.infoRead, Summary: "Read the plugin's version and what it supports for each vendor.",
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: "Version and vendors.",
					Fields: map[string]*framework.FieldSchema{
						"version": {Type: framework.TypeString, Required: true, Description: "Version of the plugin."},
						"vendors": {Type: framework.TypeMap, Required: true, Description: "What each vendor's API supports. The keys are the values of the config field \"vendor\"."},
					},
				}}},
			},
		},
		HelpSynopsis:    "Version of the plugin and its vendors.",
		HelpDescription: "Returns the version of the plugin, the vendors that it supports, and what renewing, revoking and rotating do at each of them.",
	}}
}

func (b *backend) infoRead(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	vendors := make(map[string]any, len(b.providers))
	for name, vendor := range b.providers {
		can := vendor.Capabilities()
		vendors[name] = map[string]any{
			"description":             vendor.Description(),
			"renewal":                 can.Renewal.String(),
			"revokes":                 can.Revokes,
			"revocation":              can.RevocationNote,
			"rotates_root":            can.RotatesRoot,
			"root_rotation":           can.RotationNote,
			"marker":                  can.Marker,
			"max_lifetime":            int64(can.MaxLifetime.Seconds()),
			"default_max_credentials": can.DefaultMaxCredentials,
			"max_credentials":         can.MaxCredentials,
			"default_sharing":         defaultSharing(vendor),
		}
	}
	return &logical.Response{Data: map[string]any{"version": Version, "vendors": vendors}}, nil
}
