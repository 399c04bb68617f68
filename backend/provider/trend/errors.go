package trend

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// refusalPause is how long a refused key is remembered. The manager counts failed attempts and can lock a key
// out, after how many is not documented.
const refusalPause = 30 * time.Second

// Rights of the management key's administrator role, as the vendor's API calls them.
const (
	rightsCreate = "canCreateNewApiKeys (in apikeyRights), and, by the vendor's guide, the right to create users"
	rightsEdit   = "canEditApiKeyProperties (in apikeyRights)"
	rightsDelete = "canDeleteApiKeys (in apikeyRights)"
	rightsView   = "canViewApiKeys (in apikeyRights)"
	rightsRoles  = "canViewAdministratorRoles (in administratorRoleRights)"
)

// refusal turns an answer that is not a 2xx into an error by its status.
func (c *client) refusal(response *httpclient.Response) *provider.Error {
	failure := response.StatusError(errorText(response.Body))
	if response.Status == http.StatusTooManyRequests {
		if failure.RetryAfter == 0 {
			failure.RetryAfter = rateWindow
		}
		failure.Remedy = "the manager allows each key 500 calls a minute by default; let leases live longer, share them with sharing=shared, " +
			"or raise the limit at the manager"
	}
	return failure
}

// atFixedPath corrects the meaning of a 404 where the path always exists: then it is the address that is
// wrong.
func (c *client) atFixedPath(failure *provider.Error) *provider.Error {
	if failure.Class == provider.ClassNotFound {
		failure.Class, failure.Field = provider.ClassInvalid, "address"
		failure.Remedy = "check that " + c.addressHint()
	}
	return failure
}

// classify finds out what an answer that can mean two things means, by asking the manager who the management key
// is, which needs no right. rights are what the call needs.
//
// Neither 401 nor 403 is documented for a key that is wrong, expired or locked out, and 403 is documented for
// a missing right. And 404 is documented for a key that does not exist, but is also what a wrong address, or a
// proxy in between, answers to everything; taken for the former it would leave a live key behind.
func (c *connection) classify(ctx context.Context, err error, rights string) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	switch {
	case httpclient.StatusOf(err) == http.StatusUnauthorized:
		return c.refusedKey(failure)
	case failure.Class == provider.ClassNotFound:
		if _, probe := c.api.current(ctx); probe != nil {
			return c.classifyCurrent(probe)
		}
		return failure
	case httpclient.StatusOf(err) != http.StatusForbidden:
		return failure
	}
	_, probe := c.api.current(ctx)
	if keyIsRefused(probe) {
		return c.refusedKey(failure)
	}
	failure.Class = provider.ClassForbidden
	failure.Remedy = "give the administrator role of the key in config/" + c.api.config + " the rights " + rights
	if probe != nil {
		failure.Remedy += "; or the key itself is refused, which could not be found out: " + probe.Error()
	}
	return failure
}

// classifyCurrent is judge for the question who the key is.
func (c *connection) classifyCurrent(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if ok && keyIsRefused(err) {
		return c.refusedKey(failure)
	}
	return err
}

// keyIsRefused reports whether a key was not even told who it is.
func keyIsRefused(err error) bool {
	status := httpclient.StatusOf(err)
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// refusedKey is the error for a key that the manager refuses, which is remembered.
func (c *connection) refusedKey(failure *provider.Error) error {
	failure.Class = provider.ClassUnauthenticated
	failure.Remedy = "check " + fieldAPIKey + " in config/" + c.api.config +
		"; at the manager (Administration, User Management, API Keys) the key may have expired, been locked out or been deleted"
	c.refusals.Observe(failure, c.clock.Now())
	return failure
}

func errCanceled(cause error) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opCurrent, Err: cause,
		Message: "the caller gave up before anything was asked of the manager but its time",
	}
}

// notOurs is the error for an id that belongs to another key.
func notOurs(leased handle) error {
	return &provider.Error{
		Class: provider.ClassInvalid, Op: opDelete,
		Message: fmt.Sprintf("the manager's API key %d is not the one that was leased, which is named %q", leased.ID, leased.Name),
		Remedy:  "the management key may belong to another tenant now, or somebody has renamed the key: delete it at the manager if it is still there",
	}
}

// ended is the error for a key that works no more.
func ended(message string) error {
	return &provider.Error{
		Class: provider.ClassNotFound, Op: opModify, Message: message, Remedy: "read a new credential",
	}
}
