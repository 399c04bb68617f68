package backend

import (
	"errors"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

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
		return nil, logical.CodedError(status, text)
	}
}

// warningsResponse is the answer of a write: nothing, or the warnings for the operator.
func warningsResponse(warnings []string) *logical.Response {
	if len(warnings) == 0 {
		return nil
	}
	return &logical.Response{Warnings: warnings}
}
