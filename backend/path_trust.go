package backend

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

const (
	// eventTrustUpdate is sent when the trust of a config was changed without its secret.
	eventTrustUpdate = "vendorauth/config-trust-update"
	// eventTrustUpdateFail is sent when such a change was refused.
	eventTrustUpdateFail = "vendorauth/config-trust-update-fail"
)

// trustPrefix begins the paths that change the trust of a config. Vault requires the capability sudo for them. It
// recognizes such paths by an exact path or by a prefix only, so the path cannot be below config/<name>.
const trustPrefix = "trust/"

// pathTrust returns the privileged path that follows a device's new certificate after rotate-root, when no operator
// knows the secret that config/<name> requires for such a change.
func (b *backend) pathTrust() []*framework.Path {
	config := configFields(nil)
	return []*framework.Path{{
		Pattern: trustPrefix + framework.GenericNameRegex("name") + "$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "update", OperationSuffix: "config-trust",
		},
		Fields: map[string]*framework.FieldSchema{
			"name":            {Type: framework.TypeString, Description: "Name of the config.", Required: true},
			"ca_cert":         config["ca_cert"],
			"tls_server_name": config["tls_server_name"],
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.trustUpdate, Summary: "Change which certificate a config trusts, without its secret.",
				ForwardPerformanceStandby: true, ForwardPerformanceSecondary: true,
			},
		},
		HelpSynopsis: "Change which certificate a config trusts, without its secret.",
		HelpDescription: "Changes ca_cert and tls_server_name of a config, and nothing else, after a login with the stored root credential over " +
			"the new trust. A field that is absent stays as it is. Leases and shared credentials stay. It is for a device whose certificate " +
			"was replaced after rotate-root, when only Vault knows the root credential. The policy needs the capability sudo: who may " +
			"change the trust and can redirect the network traffic to the device can read the root credential.",
	}}
}

// trustUpdate stores another trust of a config after a login over it. The config is stored only if it has not changed
// since it was read.
func (b *backend) trustUpdate(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	if b.pool.IsExclusive(name) {
		return nil, pool.ErrRotationInProgress
	}
	present, err := store.ReadConfig(ctx, req.Storage, name)
	switch {
	case err != nil:
		return nil, err
	case present == nil:
		return nil, logical.CodedError(http.StatusNotFound, where+" does not exist")
	}
	next := *present
	_, certificates := data.Raw["ca_cert"]
	_, serverName := data.Raw["tls_server_name"]
	if !certificates && !serverName {
		return errorResponse(where, &provider.Error{Class: provider.ClassInvalid, Message: "neither ca_cert nor tls_server_name is given"})
	}
	applyField(data, "ca_cert", &next.CACert)
	applyField(data, "tls_server_name", &next.TLSServerName)
	warnings, err := b.changeTrust(ctx, req, name, present, &next)
	if err != nil {
		b.Logger().Warn("the trust of a config was not changed", "config", name, "error", err)
		b.sendEvent(ctx, eventTrustUpdateFail, "config", name)
		return b.writerResponse(req, where+" keeps its trust, verifying the new one failed", err)
	}
	return warningsResponse(warnings), nil
}

// changeTrust stores next, which differs from present in its trust only. It returns warnings for the operator. Another
// spelling of the same trust is stored without a login, and is an event of a write.
func (b *backend) changeTrust(ctx context.Context, req *logical.Request, name string, present, next *store.Config) ([]string, error) {
	vendor, known := b.providers[present.Vendor]
	if !known {
		return nil, provider.InvalidField("vendor", "this version of the plugin does not support the vendor %q", present.Vendor)
	}
	changed := changedTrust(present, next)
	if trustChange(present, next, vendor) == "" {
		respelled := !store.SameRecord(present, next)
		if err := b.store.CompareAndSwapConfig(ctx, req.Storage, name, present, next); err != nil {
			return nil, err
		}
		if !respelled {
			noChange(ctx)
		}
		b.sendEventOf(ctx, req, eventConfigWrite, "config", name, logical.EventMetadataModified, strconv.FormatBool(respelled))
		return []string{"the config trusts the same certificates and name as before, so no login was made"}, nil
	}
	checked, _, err := b.credentials.Check(ctx, req.Storage, name, present, requesterOf(req), func(ctx context.Context) (*provider.CheckResult, error) {
		return b.rotator.ChangeTrust(ctx, req.Storage, name, present, present.WithTrust(next.CACert, next.TLSServerName))
	})
	if err != nil {
		return nil, err
	}
	b.Logger().Info("the trust of a config was changed", "config", name, "fields", strings.Join(changed, ","))
	b.sendEvent(ctx, eventTrustUpdate, "config", name, "fields", strings.Join(changed, ","))
	warnings := checked.Warnings
	if next.TLSSkipVerify {
		warnings = append(warnings, "tls_skip_verify is set, so the engine accepts any certificate: ca_cert and tls_server_name have no effect")
	}
	return warnings, nil
}

// changedTrust returns the names of the fields in which the trust of two configs differs.
func changedTrust(present, next *store.Config) []string {
	var fields []string
	if !sameCertificates(present.CACert, next.CACert) {
		fields = append(fields, "ca_cert")
	}
	if !sameServerName(present, next) {
		fields = append(fields, "tls_server_name")
	}
	return fields
}
