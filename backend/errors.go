package backend

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/lease"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/ledger"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
)

// statusOf maps an error to the HTTP status that Vault answers with.
//
// Vault's client repeats a request on 412, 429 and 5xx, so these are used only where a repetition does no
// harm: for 429 the connection remembers the vendor's Retry-After and answers without asking again. An
// ambiguous create must not be repeated without the caller's knowledge and gets a 4xx of its own.
func statusOf(err error) int {
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return http.StatusConflict
	}
	if _, inUse := errors.AsType[*ledger.InUseError](err); inUse {
		return http.StatusConflict
	}
	if _, loading := errors.AsType[*ledger.LoadingError](err); loading {
		return http.StatusServiceUnavailable
	}
	switch provider.ClassOf(err) {
	case provider.ClassInvalid, provider.ClassUnauthenticated, provider.ClassForbidden, provider.ClassNotFound:
		return http.StatusBadRequest
	case provider.ClassCapacity:
		return http.StatusConflict
	case provider.ClassRateLimited:
		return http.StatusTooManyRequests
	case provider.ClassUnavailable:
		return http.StatusServiceUnavailable
	case provider.ClassAmbiguous:
		return http.StatusFailedDependency
	case provider.ClassUnknown:
		if coded, ok := errors.AsType[logical.HTTPCodedError](err); ok {
			return coded.Code()
		}
	}
	return http.StatusInternalServerError
}

// errorResponse turns an error into what a handler returns. context names the config and step: a vendor
// package does not know under which name it is configured.
func errorResponse(context string, err error) (*logical.Response, error) {
	text := context + ": " + err.Error()
	switch status := statusOf(err); status {
	case http.StatusBadRequest:
		return logical.ErrorResponse("%s", text), nil
	default:
		return nil, retryError{logical.CodedError(status, text), retryAfter(err)}
	}
}

// retryError is an error with a status, and with the time after which a repetition makes sense: zero if it is not known.
type retryError struct {
	logical.HTTPCodedError
	after time.Duration
}

// retryAfter returns when a request can be repeated, from now, or zero.
func retryAfter(err error) time.Duration {
	if loading, ok := errors.AsType[*ledger.LoadingError](err); ok {
		return loading.RetryAfter
	}
	return provider.RetryAfterOf(err)
}

// classOf returns the class of an error, also of a refusal of the ledger.
func classOf(err error) provider.Class {
	if _, full := errors.AsType[*ledger.LimitError](err); full {
		return provider.ClassCapacity
	}
	if _, loading := errors.AsType[*ledger.LoadingError](err); loading {
		return provider.ClassUnavailable
	}
	return provider.ClassOf(err)
}

// readerResponse is errorResponse for a reader of credentials: without any text from outside, see
// [provider.ReaderText]. The log has the whole error under the same reference: the credential, if the ledger has it, or
// else the request, as Vault's audit log names it.
func (b *backend) readerResponse(req *logical.Request, where, credentialID string, err error) (*logical.Response, error) {
	shown := b.readerError(req, where, credentialID, err)
	switch status := statusOf(err); status {
	case http.StatusBadRequest:
		return logical.ErrorResponse("%s", shown), nil
	default:
		return nil, retryError{logical.CodedError(status, shown.Error()), retryAfter(err)}
	}
}

// readerError is readerResponse for a handler whose status is Vault's own.
func (b *backend) readerError(req *logical.Request, where, credentialID string, err error) error {
	if about, ok := errors.AsType[*lease.CredentialError](err); ok {
		credentialID = about.ID
	}
	key, reference := "credential_id", credentialID
	if credentialID == "" {
		key, reference = "request_id", req.ID
	}
	class := classOf(err)
	b.logRefusal(err, "a request for a credential failed", "operation", req.Operation, "path", req.Path, "where", where,
		"class", class.String(), "status", statusOf(err), "credential_id", credentialID, "request_id", req.ID, "error", err)
	return fmt.Errorf("%s: %s (%s, %s %s)", where, provider.ReaderText(err), class, key, reference)
}

// writerResponse is errorResponse for a user who writes or deletes a config, and so chooses the host that answers: without any text
// from outside. The log has the whole error, with the ID of the request.
func (b *backend) writerResponse(req *logical.Request, where string, err error) (*logical.Response, error) {
	if !provider.HasDetail(err) {
		return errorResponse(where, err)
	}
	b.logRefusal(err, "a config was not written or deleted", "path", req.Path, "request_id", req.ID, "error", err)
	text := fmt.Sprintf("%s: %s (%s, request_id %s)", where, provider.ReaderText(err), classOf(err), req.ID)
	if status := statusOf(err); status != http.StatusBadRequest {
		return nil, retryError{logical.CodedError(status, text), retryAfter(err)}
	}
	return logical.ErrorResponse("%s", text), nil
}

// hideVendorText returns an error's text without any text from outside, for a warning of a write or a deletion of a config.
// The log has the whole error.
func (b *backend) hideVendorText(config string, err error) string {
	b.logHidden(config, err)
	return provider.ReaderText(err)
}

// logHidden logs an error whose answer leaves something out.
func (b *backend) logHidden(config string, err error) {
	if provider.HasDetail(err) {
		b.Logger().Warn("an answer about a config leaves out what the vendor said", "config", config, "error", err)
	}
}

// logRefusal logs an error whose answer leaves something out as a warning. A request that was not sent repeats an
// earlier error.
func (b *backend) logRefusal(err error, message string, fields ...any) {
	switch {
	case errors.Is(err, provider.ErrNotSent):
		b.Logger().Info(message, fields...)
	case provider.HasDetail(err), provider.ClassOf(err) == provider.ClassUnknown && statusOf(err) == http.StatusInternalServerError:
		b.Logger().Warn(message, fields...)
	default:
		b.Logger().Debug(message, fields...)
	}
}

// warningsResponse is the answer of a write: nothing, or the warnings for the operator.
func warningsResponse(warnings []string) *logical.Response {
	if len(warnings) == 0 {
		return nil
	}
	return &logical.Response{Warnings: warnings}
}
