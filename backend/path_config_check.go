package backend

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/pool"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

func (b *backend) pathConfigCheck(name *framework.FieldSchema) *framework.Path {
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/check$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "check", OperationSuffix: "config",
		},
		Fields: map[string]*framework.FieldSchema{"name": name},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.configCheck, Summary: "Log in to the vendor with the stored root credential.",
				ForwardPerformanceStandby: true,
				Responses:                 checkResponses("The login succeeded."),
			},
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.configCheckRead, Summary: "Read the result of the last check.",
				DisplayAttrs: &framework.DisplayAttributes{
					OperationPrefix: operationPrefix, OperationVerb: "read", OperationSuffix: "config-check",
				},
				// The result is in the memory of the active node.
				ForwardPerformanceStandby: true,
				Responses:                 checkResponses("The result of the last check, also if it failed."),
			},
		},
		HelpSynopsis: "Log in to the vendor with the stored root credential.",
		HelpDescription: "A write makes a real login and returns the identity of the root credential, its own expiry, and the vendor's response " +
			"time. At some vendors a login creates a token: the ledger records it, and credential_id names it. A read returns the result of the " +
			"last write and calls no vendor. The active node keeps that result in memory: after a restart or a failover there is none.",
	}
}

func checkResponses(description string) map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusOK: {{
		Description: description,
		Fields: map[string]*framework.FieldSchema{
			"vendor":          {Type: framework.TypeString, Required: true, Description: "Vendor of the product."},
			"address":         {Type: framework.TypeString, Required: true, Description: "Its address."},
			"checked_at":      {Type: framework.TypeString, Required: true, Description: "When the check began (RFC 3339, UTC)."},
			"outcome":         {Type: framework.TypeString, Required: true, Description: "ok, or the class of the error."},
			"error":           {Type: framework.TypeString, Description: "Why the check failed, with the vendor's own words. Empty if it succeeded."},
			"identity":        {Type: framework.TypeString, Description: "Which user or key the vendor identifies the root credential as."},
			"root_expires_at": {Type: framework.TypeString, Description: "When the root credential itself expires (RFC 3339, UTC). Empty if never or unknown."},
			"latency_ms":      {Type: framework.TypeInt64, Required: true, Description: "How long the login took, in milliseconds."},
			"details":         {Type: framework.TypeMap, Description: "Further facts from the vendor's answer."},
			"credential_id":   {Type: framework.TypeString, Description: "The credential that the check has created at the vendor. Empty if none."},
		},
	}}}
}

func (b *backend) configCheck(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	ctx = pool.WithProbe(ctx) // the operator wants to know how the vendor is now
	where := fmt.Sprintf("config %q", name)
	entry, conn, err := b.rotator.Acquire(ctx, req.Storage, name)
	if err != nil {
		return errorResponse(where, err)
	}
	defer conn.Release()
	result := checkResult{uid: entry.UID, vendor: entry.Vendor, address: entry.Address, at: b.clock.Now()}
	result.checked, result.credentialID, result.err = b.credentials.Check(ctx, req.Storage, name, entry, requesterOf(req),
		func(ctx context.Context) (*provider.CheckResult, error) { return b.pool.Check(ctx, conn, entry.Vendor) })
	result.took = b.clock.Now().Sub(result.at)
	b.checks.put(name, result)
	if result.err != nil {
		b.credentials.Doubt(name)
		b.Logger().Warn("check failed", "config", name, "vendor", entry.Vendor, "request_id", req.ID, "error", result.err)
		return errorResponse(where, result.err)
	}
	if err := b.recordCheck(ctx, req.Storage, name, entry, result.checked); err != nil {
		b.Logger().Warn("the outcome of a check was not stored", "config", name, "error", err)
	}
	return &logical.Response{Data: result.data(), Warnings: result.checked.Warnings}, nil
}

func (b *backend) configCheckRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	entry, err := b.store.Config(ctx, req.Storage, name)
	if err != nil || entry == nil {
		return nil, err
	}
	result, ok := b.checks.get(name, entry.UID)
	if !ok {
		return nil, logical.CodedError(http.StatusNotFound, fmt.Sprintf("config %q was not checked since this node became active; write to config/%s/check", name, name))
	}
	response := &logical.Response{Data: result.data()}
	if result.err == nil {
		response.Warnings = result.checked.Warnings
	}
	return response, nil
}

// checkResult is the result of one check.
type checkResult struct {
	// uid is that of the config, and vendor and address are what it had then.
	uid, vendor, address string

	at           time.Time
	took         time.Duration
	checked      *provider.CheckResult // nil after an error
	credentialID string
	err          error
}

// data is the result as the API returns it.
func (r checkResult) data() map[string]any {
	data := map[string]any{
		"vendor": r.vendor, "address": r.address, "checked_at": formatTime(r.at), "latency_ms": r.took.Milliseconds(),
		"outcome": "ok", "error": "", "identity": "", "root_expires_at": "", "details": map[string]any{}, "credential_id": r.credentialID,
	}
	if r.err != nil {
		data["outcome"], data["error"] = classOf(r.err).String(), r.err.Error()
		return data
	}
	data["identity"], data["root_expires_at"] = r.checked.Identity, formatTime(r.checked.RootExpiresAt)
	if r.checked.Details != nil {
		data["details"] = r.checked.Details
	}
	return data
}

// checks holds the result of the last check of each config that exists. A deletion drops it, and the background work
// drops that of a check which has ended after the deletion. The zero value is ready for use. It is safe for concurrent
// use.
type checks struct {
	mu       sync.Mutex
	byConfig map[string]checkResult
}

func (c *checks) put(config string, result checkResult) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byConfig == nil {
		c.byConfig = make(map[string]checkResult)
	}
	c.byConfig[config] = result
}

// get returns the last result of the config with this UID: a later config of the same name has none.
func (c *checks) get(config, uid string) (checkResult, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	result, ok := c.byConfig[config]
	return result, ok && result.uid == uid
}

// forget drops the result of a config that is deleted.
func (c *checks) forget(config string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byConfig, config)
}

// keep drops the results of configs that do not exist any more.
func (c *checks) keep(exists func(name string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.byConfig, func(name string, _ checkResult) bool { return !exists(name) })
}

// formatTime renders a time as RFC 3339 in UTC, and the zero time as an empty string.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
