package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/input"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/store"
)

// HandleRequest checks a request of a path before the framework handles it: name, operation and fields. It turns a
// panic into an error of the request in which it happened. The panic would otherwise end the process, and with it all
// mounts that the process serves. A panic of the log or of the events is only logged: the request is done by then, and
// Vault must get its answer, or a credential would have no lease.
func (b *backend) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	var doing *activity
	b.contain(req, "recording the beginning of a request panicked", func() { ctx, doing = b.beginActivity(ctx, req) })
	response, err := provider.CatchPanic("handling the request", func() (*logical.Response, error) { return b.handle(ctx, req) })
	err = b.withoutPanic(req, "a handler panicked", err)
	b.contain(req, "recording the end of a request panicked", func() { b.endActivity(ctx, req, doing, response, err) })
	if !hasFields(req.Operation) {
		return response, err
	}
	return plainError(req, response, err)
}

// handle checks a request of an API client, and lets the framework handle it.
func (b *backend) handle(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	if !hasFields(req.Operation) {
		return b.Backend.HandleRequest(ctx, req)
	}
	checked, err := b.checkRequest(ctx, req)
	if err != nil {
		return errorResponse(subjectOf(req.Path), err)
	}
	return b.Backend.HandleRequest(ctx, checked)
}

// contain runs work that must not fail the request, and logs a panic of it as message.
func (b *backend) contain(req *logical.Request, message string, work func()) {
	_, err := provider.CatchPanic(message, func() (struct{}, error) { work(); return struct{}{}, nil })
	_ = b.withoutPanic(req, message, err)
}

// containStep runs one step of the mount's start or end, which Vault does not ask for as a request. It logs a panic, and returns
// it as an error without its reason.
func (b *backend) containStep(step string, work func()) error {
	_, err := provider.CatchPanic(step, func() (struct{}, error) { work(); return struct{}{}, nil })
	provider.LogPanic(b.Logger(), err, "a step panicked", "step", step)
	return err
}

// withoutPanic returns an error that was created from a panic as the error of its request, with status 500, and logs the
// panic as message. It returns other errors unchanged.
func (b *backend) withoutPanic(req *logical.Request, message string, err error) error {
	if !provider.LogPanic(b.Logger(), err, message, "operation", req.Operation, "path", req.Path) {
		return err
	}
	return logical.CodedError(http.StatusInternalServerError, "a fault in the plugin ended this request; report it with the plugin's log of this moment")
}

// HandleExistenceCheck comes before the policies of a write are checked. It uses the name alone: HandleRequest checks
// the fields once the caller is known to be allowed to write. A panic becomes an error, as in HandleRequest.
func (b *backend) HandleExistenceCheck(ctx context.Context, req *logical.Request) (checkFound, exists bool, err error) {
	if object, ok := objectOf(req.Path); ok && store.CheckName(object.name) != nil {
		return true, false, nil
	}
	nameOnly := *req
	nameOnly.Data = nil
	exists, err = provider.CatchPanic("checking whether an object exists", func() (found bool, err error) {
		checkFound, found, err = b.Backend.HandleExistenceCheck(ctx, &nameOnly)
		return found, err
	})
	return checkFound, exists, b.withoutPanic(req, "an existence check panicked", err)
}

// hasFields reports whether an operation is one of an API client, with fields of its own.
func hasFields(operation logical.Operation) bool {
	switch operation {
	case logical.CreateOperation, logical.UpdateOperation, logical.PatchOperation,
		logical.ReadOperation, logical.ListOperation, logical.DeleteOperation:
		return true
	default:
		return false
	}
}

// isWrite reports whether an operation has a body.
func isWrite(operation logical.Operation) bool {
	return operation == logical.CreateOperation || operation == logical.UpdateOperation || operation == logical.PatchOperation
}

// object is the config or role that a path names.
type object struct {
	kind, name string
	// below is what follows the name, such as "check".
	below string
}

// objectOf returns the object that a path names. ok is false for a path that names none, such as a list of all.
func objectOf(path string) (named object, ok bool) {
	kind, rest, _ := strings.Cut(path, "/")
	if rest == "" {
		return object{}, false
	}
	switch kind {
	case "config":
		name, below, _ := strings.Cut(rest, "/")
		return object{"config", name, below}, true
	case strings.TrimSuffix(trustPrefix, "/"):
		return object{"config", rest, "trust"}, true
	case strings.TrimSuffix(abandonPrefix, "/"):
		return object{"config", rest, "abandon"}, true
	case "roles", "creds":
		return object{"role", rest, ""}, true
	default:
		return object{}, false
	}
}

// subjectOf returns how errors name what a path is about. What a client made up is quoted and bounded.
func subjectOf(path string) string {
	if named, ok := objectOf(path); ok {
		return fmt.Sprintf("%s %.64q", named.kind, named.name)
	}
	return fmt.Sprintf("%.64q", path)
}

// checkRequest returns a copy of the request whose fields have the types of the path's schema, or an error: status 404
// for what does not exist, 405 for an operation that the path does not have, ClassInvalid for a field or a new name.
func (b *backend) checkRequest(ctx context.Context, req *logical.Request) (*logical.Request, error) {
	named, ok := objectOf(req.Path)
	if ok {
		if err := store.CheckName(named.name); err != nil {
			if isWrite(req.Operation) {
				return nil, err
			}
			return nil, doesNotExist()
		}
	}
	path := b.Route(req.Path)
	if path == nil {
		return nil, logical.CodedError(http.StatusNotFound, "the engine has no such path")
	}
	if path.Operations[req.Operation] == nil {
		return nil, logical.CodedError(http.StatusMethodNotAllowed, fmt.Sprintf("the path has no operation %q", req.Operation))
	}
	checked := *req
	if len(req.Data) > 0 {
		fields, err := formOf(path, req.Operation).Parse(req.Data)
		if err != nil {
			return nil, err
		}
		checked.Data = fields
	}
	if ok && named.kind == "config" && named.below != "" && !b.isStandby() { // the active node has the last word
		config, err := b.store.Config(ctx, req.Storage, named.name)
		switch {
		case err != nil:
			return nil, err
		case config == nil:
			return nil, doesNotExist()
		}
	}
	return &checked, nil
}

// doesNotExist is the error for a path that names a config or role that does not exist. Its status is 404.
func doesNotExist() error { return logical.CodedError(http.StatusNotFound, "it does not exist") }

// pathFieldPattern finds the named parts of a path's pattern.
var pathFieldPattern = regexp.MustCompile(`\(\?P<(\w+)>`)

// formOf returns what an operation of a path accepts. A query field belongs to the deletion if the path has one,
// otherwise to the other operations without a body.
func formOf(path *framework.Path, operation logical.Operation) input.Form {
	form := input.Form{Fields: path.Fields, QueryOnly: !isWrite(operation), Patch: operation == logical.PatchOperation}
	for _, match := range pathFieldPattern.FindAllStringSubmatch(path.Pattern, -1) {
		form.PathFields = append(form.PathFields, match[1])
	}
	if form.QueryOnly && operation != logical.DeleteOperation && path.Operations[logical.DeleteOperation] != nil {
		form.Fields = nil
	}
	return form
}

// plainError answers an error that has a status with the body that clients expect. Vault's core would write "1 error
// occurred" and a list of one around the text of an error. A request whose answer must be wrapped gets the error
// unchanged: Vault would wrap the body like a result.
func plainError(req *logical.Request, response *logical.Response, err error) (*logical.Response, error) {
	if _, loading := errors.AsType[*ledger.LoadingError](err); loading {
		_, err = errorResponse(subjectOf(req.Path), err)
	}
	coded, ok := errors.AsType[logical.HTTPCodedError](err)
	if !ok || req.WrapInfo != nil && req.WrapInfo.TTL > 0 {
		return response, err
	}
	retry, _ := errors.AsType[retryError](err)
	body, err := json.Marshal(map[string][]string{"errors": {err.Error()}})
	if err != nil {
		return nil, fmt.Errorf("encoding an error: %w", err)
	}
	answer := &logical.Response{Data: map[string]any{
		logical.HTTPStatusCode:  coded.Code(),
		logical.HTTPContentType: "application/json",
		logical.HTTPRawBody:     body,
	}}
	if retry.after > 0 {
		// Vault passes the header on if the mount is tuned with allowed_response_headers=Retry-After.
		seconds := int64(math.Ceil(retry.after.Seconds()))
		answer.Headers = map[string][]string{"Retry-After": {strconv.FormatInt(seconds, 10)}}
	}
	return answer, nil
}
