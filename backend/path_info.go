package backend

import (
	"context"
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// operationPrefix begins the operation ids of the generated OpenAPI document.
const operationPrefix = "vendorauth"

func (b *backend) pathInfo() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:      "info$",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "info"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback: b.infoRead, Summary: "Read the plugin's version and the names of its vendors.",
					Responses: okAnswer("Version and vendors.", map[string]*framework.FieldSchema{
						"version": member(framework.TypeString, "Version of the plugin."),
						"vendors": member(framework.TypeStringSlice, "The values of the config field \"vendor\"."),
					}),
				},
			},
			HelpSynopsis:    "Version of the plugin and its vendors.",
			HelpDescription: "Returns the version of the plugin and the names of the vendors that it supports.",
		},
		{
			Pattern:      "info/$", // Vault ends the path of a list with a slash
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "list", OperationSuffix: "vendors"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{Callback: b.infoList, Summary: "List the vendors, and what each one's API supports."},
			},
			HelpSynopsis:    "List the vendors.",
			HelpDescription: "Lists the vendors, with what renewing and revoking a credential and rotating the root credential do at each of them.",
		},
		{
			Pattern:      "info/" + framework.GenericNameRegex("vendor") + "$",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "vendor"},
			Fields: map[string]*framework.FieldSchema{
				"vendor": {Type: framework.TypeString, Description: "Name of the vendor.", Required: true},
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{Callback: b.infoVendorRead, Summary: "Read what a vendor's API supports."},
			},
			HelpSynopsis:    "What a vendor's API supports.",
			HelpDescription: "Returns what renewing and revoking a credential and rotating the root credential do at the vendor, and its limits.",
		},
	}
}

func (b *backend) infoRead(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	return &logical.Response{Data: map[string]any{"version": Version, "vendors": slices.Sorted(maps.Keys(b.providers))}}, nil
}

func (b *backend) infoList(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error) {
	details := make(map[string]any, len(b.providers))
	for name, vendor := range b.providers {
		details[name] = capabilitiesOf(vendor)
	}
	return logical.ListResponseWithInfo(slices.Sorted(maps.Keys(b.providers)), details), nil
}

func (b *backend) infoVendorRead(_ context.Context, _ *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	vendor, ok := b.providers[data.Get("vendor").(string)]
	if !ok {
		return nil, nil //nolint:nilnil // Vault's answer to nothing is 404
	}
	return &logical.Response{Data: capabilitiesOf(vendor)}, nil
}

// capabilitiesOf returns what the answers about a vendor contain.
func capabilitiesOf(vendor provider.Provider) map[string]any {
	can := vendor.Capabilities()
	return map[string]any{
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
