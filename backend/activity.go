package backend

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// Types of the events about requests. A refused or failed request has the type with "-fail", and status in the metadata.
const (
	eventConfigWrite   = eventPrefix + "config-write"
	eventConfigDelete  = eventPrefix + "config-delete"
	eventConfigCheck   = eventPrefix + "config-check"
	eventConfigTidy    = eventPrefix + "config-tidy"
	eventConfigAbandon = eventPrefix + "config-abandon"
	eventRoleWrite     = eventPrefix + "role-write"
	eventRoleDelete    = eventPrefix + "role-delete"
	eventCredsCreate   = eventPrefix + "creds-create"
	eventCredsRenew    = eventPrefix + "creds-renew"
)

// activity is what a request does to a config, a role or a credential: the log and an event record it.
type activity struct {
	// kind is the type of the event. It is empty where the engine sends the event at another place, since it also does the
	// same without a request.
	kind string
	// message is what the log says of a success.
	message string
	// subject names the object: keys and values.
	subject []string
	// ofCredential is true for an operation on a credential. The log has it at debug: there are many.
	ofCredential bool
	// unchanged is true if the request has changed nothing. Handlers set it.
	unchanged bool
	began     time.Time
}

// activityKey is the key of the activity in the context of a request.
type activityKey struct{}

// noChange records that a request has changed nothing. It makes no difference to a request that fails.
func noChange(ctx context.Context) {
	if current, ok := ctx.Value(activityKey{}).(*activity); ok {
		current.unchanged = true
	}
}

// beginActivity returns a context that carries what the request does, or nil for a request that only reads.
func (b *backend) beginActivity(ctx context.Context, req *logical.Request) (context.Context, *activity) {
	current := activityOf(req)
	if current == nil || b.isStandby() {
		return ctx, nil
	}
	current.began = b.clock.Now()
	return context.WithValue(ctx, activityKey{}, current), current
}

// activityOf returns what a request does, or nil.
func activityOf(req *logical.Request) *activity {
	named, ok := objectOf(req.Path)
	switch {
	case req.Operation == logical.RenewOperation:
		return &activity{kind: eventCredsRenew, message: "credential renewed", subject: referenceOf(req.Secret), ofCredential: true}
	case req.Operation == logical.RevokeOperation:
		return &activity{message: "lease revoked", subject: referenceOf(req.Secret), ofCredential: true}
	case !ok || store.CheckName(named.name) != nil:
		return nil
	}
	subject := []string{named.kind, named.name}
	if strings.HasPrefix(req.Path, "creds/") {
		if req.Operation != logical.ReadOperation {
			return nil
		}
		return &activity{kind: eventCredsCreate, message: "credential issued", subject: subject, ofCredential: true}
	}
	if !isWrite(req.Operation) && req.Operation != logical.DeleteOperation {
		return nil
	}
	action := named.kind + " " + named.below
	if named.below == "" && req.Operation == logical.DeleteOperation {
		action += "delete"
	}
	known, ok := activities[action]
	if !ok {
		return nil
	}
	known.subject = subject
	return &known
}

// activities are the writes and deletions, by the object and what follows its name in the path.
var activities = map[string]activity{
	"config ":            {kind: eventConfigWrite, message: "config written"},
	"config delete":      {kind: eventConfigDelete, message: "config deleted"},
	"config check":       {kind: eventConfigCheck, message: "config checked"},
	"config tidy":        {kind: eventConfigTidy, message: "config tidied"},
	"config abandon":     {kind: eventConfigAbandon, message: "config abandoned"},
	"config rotate-root": {message: "root credential rotated on request"},
	"config trust":       {message: "trust of a config written"},
	"role ":              {kind: eventRoleWrite, message: "role written"},
	"role delete":        {kind: eventRoleDelete, message: "role deleted"},
}

// referenceOf returns which credential a lease refers to: keys and values.
func referenceOf(secret *logical.Secret) []string {
	if secret == nil {
		return nil
	}
	reference, err := lease.ParseReference(secret.InternalData)
	if err != nil {
		return nil
	}
	return []string{"config", reference.Config, "role", reference.Role, "credential_id", reference.ID}
}

// endActivity logs what a request has done and who sent it, and sends the event. A request that another node must handle
// has done nothing here.
func (b *backend) endActivity(ctx context.Context, req *logical.Request, done *activity, response *logical.Response, err error) {
	if done == nil || errors.Is(err, logical.ErrReadOnly) {
		return
	}
	if err == nil && done.kind == eventCredsCreate && response != nil {
		if credential := referenceOf(response.Secret); credential != nil {
			done.subject = credential
		}
	}
	failed := err != nil || response.IsError()
	b.logActivity(req, done, response, err)
	if done.kind == "" {
		return
	}
	metadata := slices.Clone(done.subject)
	switch {
	case failed:
		b.sendEventOf(ctx, req, done.kind+"-fail", append(metadata, "status", strconv.Itoa(activityStatus(err)))...)
	case done.unchanged || done.kind == eventConfigCheck:
		b.sendEventOf(ctx, req, done.kind, append(metadata, logical.EventMetadataModified, "false")...)
	default:
		b.sendEventOf(ctx, req, done.kind, metadata...)
	}
}

// logActivity writes one line about a request: operations on credentials at debug, with their latency, and others at
// info, with who sent it and the names of the fields that it contained. The text of an error is logged where it occurs.
func (b *backend) logActivity(req *logical.Request, done *activity, response *logical.Response, err error) {
	var fields []any
	for _, text := range done.subject {
		fields = append(fields, text)
	}
	message := done.message
	switch {
	case err != nil || response.IsError():
		message = "not done: " + message
		fields = append(fields, "status", activityStatus(err))
	case done.unchanged:
		message += ", nothing changed"
	}
	if names := slices.Sorted(maps.Keys(req.Data)); len(names) > 0 && isWrite(req.Operation) && err == nil && !response.IsError() {
		fields = append(fields, "fields", strings.Join(names, ",")) // the names only: values can be secret
	}
	fields = append(fields, "operation", string(req.Operation), "request_id", req.ID)
	if req.EntityID != "" {
		fields = append(fields, "entity_id", req.EntityID)
	}
	if req.DisplayName != "" {
		fields = append(fields, "display_name", provider.PrintableText(req.DisplayName, provider.MaxText))
	}
	fields = append(fields, "latency", b.clock.Now().Sub(done.began).Round(time.Millisecond).String())
	if done.ofCredential {
		b.Logger().Debug(message, fields...)
	} else {
		b.Logger().Info(message, fields...)
	}
}

// activityStatus returns the HTTP status of a failed request.
func activityStatus(err error) int {
	if err == nil {
		return http.StatusBadRequest // a refusal that is a response
	}
	return statusOf(err)
}
