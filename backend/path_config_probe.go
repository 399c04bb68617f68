package backend

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/probe"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

func (b *backend) pathConfigProbe(name *framework.FieldSchema) *framework.Path {
	answer := map[int][]framework.Response{http.StatusOK: {{
		Description: "What the product did.",
		Fields: map[string]*framework.FieldSchema{
			"state":      {Type: framework.TypeString, Required: true, Description: "running, complete or interrupted."},
			"vendor":     {Type: framework.TypeString, Required: true, Description: "Vendor of the product."},
			"product":    {Type: framework.TypeString, Description: "Model and version, if the product reports them."},
			"started_at": {Type: framework.TypeString, Required: true, Description: "When the probe began (RFC 3339, UTC)."},
			"ended_at":   {Type: framework.TypeString, Description: "When it ended. Empty while it runs."},
			"verdicts":   {Type: framework.TypeMap, Required: true, Description: "How many rows have each verdict."},
			"steps": {Type: framework.TypeSlice, Required: true, Description: "The table. Each row has step, fact, contract, status, observed, " +
				"latency_ms, verdict and answers."},
			"report": {Type: framework.TypeString, Required: true, Description: "The table as Markdown text without secrets, to paste into an issue."},
		},
	}}}
	return &framework.Path{
		Pattern: "config/" + framework.GenericNameRegex("name") + "/probe$",
		DisplayAttrs: &framework.DisplayAttributes{
			OperationPrefix: operationPrefix, OperationVerb: "probe", OperationSuffix: "config",
		},
		Fields: map[string]*framework.FieldSchema{
			"name": name,
			"confirm": {
				Type: framework.TypeString, Description: "The config's name again: a probe creates and ends one or two credentials at the product.",
			},
			"role": {
				Type: framework.TypeString, Description: "Name of a role of this config, whose vendor fields the credentials get. Required if the vendor's roles have a required field.",
			},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback: b.configProbe, Summary: "Observe the product with one or two short-lived credentials.",
				ForwardPerformanceStandby: true, Responses: answer,
			},
			logical.ReadOperation: &framework.PathOperation{
				Callback: b.configProbeRead, Summary: "Read the report of the last probe.",
				ForwardPerformanceStandby: true, Responses: answer,
			},
		},
		HelpSynopsis: "Compare the product with the vendor's contract.",
		HelpDescription: "Issues one or two credentials with a short life, uses, renews and revokes them, and compares what the product did with what the " +
			"vendor documents. It takes a slot of max_credentials for each, touches nothing that it did not create, and ends what it has created, " +
			"also after a crash. It takes up to two minutes. An answer with state running is not complete: read the path for the rest.",
	}
}

// probeWait is for how long the request that begins a probe waits for its end. Vault ends a request after 90 seconds.
const probeWait = 75 * time.Second

func (b *backend) configProbe(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	where := fmt.Sprintf("config %q", name)
	if data.Get("confirm").(string) != name {
		return errorResponse(where, provider.InvalidField("confirm",
			"must be the config's name: a probe creates and ends one or two credentials at the product"))
	}
	role, err := b.probeRole(ctx, req.Storage, name, data.Get("role").(string))
	if err != nil {
		return errorResponse(where, err)
	}
	running, err := b.startProbe(ctx, req.Storage, name, role, req)
	if err != nil {
		return errorResponse(where, err)
	}
	select {
	case <-running.done:
	case <-time.After(probeWait): // in real time, by which Vault ends a request
	case <-ctx.Done():
		return nil, ctx.Err() // the probe goes on, and its report can be read
	}
	return b.probeResponse(running.probe.Snapshot()), nil
}

// probeRole returns the role whose vendor fields the credentials of a probe get.
func (b *backend) probeRole(ctx context.Context, storage logical.Storage, config, name string) (*store.Role, error) {
	entry, err := b.store.Config(ctx, storage, config)
	if err != nil || entry == nil {
		return nil, err
	}
	if name != "" {
		role, err := b.store.Role(ctx, storage, name)
		switch {
		case err != nil:
			return nil, err
		case role == nil:
			return nil, provider.InvalidField("role", "%q does not exist", name)
		case role.Config != config:
			return nil, provider.InvalidField("role", "%q belongs to config %q", name, role.Config)
		case !entry.AllowsRole(name):
			return nil, provider.InvalidField("role", "%q is not in allowed_roles of the config", name)
		}
		return role, nil
	}
	vendor, ok := b.providers[entry.Vendor]
	if !ok {
		return nil, &provider.Error{Class: provider.ClassInvalid, Message: fmt.Sprintf("this version of the plugin does not support vendor %q", entry.Vendor)}
	}
	role := &store.Role{Version: store.RoleVersion, Config: config, Vendor: entry.Vendor}
	if err := vendor.ValidateRole(role.FieldData(vendor)); err != nil {
		failure := provider.InvalidField("role", "is required, since a role of this vendor needs a field: %s", err)
		failure.Remedy = "name a role of this config"
		return nil, failure
	}
	return role, nil
}

func (b *backend) configProbeRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get("name").(string)
	report, err := b.lastProbe(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if report == nil {
		return nil, logical.CodedError(http.StatusNotFound, fmt.Sprintf(
			"config %q: no probe was made; write to config/%s/probe with confirm=%s", name, name, name))
	}
	return b.probeResponse(*report), nil
}

// probeResponse returns a report as an answer of the API.
func (b *backend) probeResponse(report probe.Report) *logical.Response {
	steps := make([]any, len(report.Rows))
	for i, row := range report.Rows {
		steps[i] = map[string]any{
			"step": row.Step, "fact": row.Fact, "contract": row.Contract, "status": string(row.Status), "observed": row.Observed,
			"latency_ms": row.LatencyMS, "verdict": string(row.Verdict), "answers": row.Answers,
		}
	}
	verdicts := map[string]any{}
	for _, verdict := range []probe.Verdict{
		probe.VerdictAgrees, probe.VerdictDiffers, probe.VerdictSettled, probe.VerdictNotObserved, probe.VerdictSkipped,
	} {
		verdicts[string(verdict)] = report.Count(verdict)
	}
	response := &logical.Response{
		Data: map[string]any{
			"state": string(report.State), "vendor": report.Vendor, "product": report.Product,
			"started_at": formatTime(report.StartedAt), "ended_at": formatTime(report.EndedAt),
			"verdicts": verdicts, "steps": steps, "report": report.Text(strings.TrimSpace(Version)),
		},
		Warnings: report.Notes,
	}
	if report.State == probe.StateRunning {
		response.AddWarning("the probe is running; read this path for the rest of its report")
	}
	return response
}
