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

// rejectedKeyBackoff is how long the connection sends no request after the manager rejected the key. The
// manager counts failed attempts and can lock a key out. The number of attempts is not documented.
const rejectedKeyBackoff = 30 * time.Second

// Rights of the management key's administrator role, with the names of the vendor's API.
const (
	rightsCreate = "canCreateNewApiKeys (in apikeyRights) and, according to the vendor's guide, the right to create users"
	rightsEdit   = "canEditApiKeyProperties (in apikeyRights)"
	rightsDelete = "canDeleteApiKeys (in apikeyRights)"
	rightsView   = "canViewApiKeys (in apikeyRights)"
	rightsRoles  = "canViewAdministratorRoles (in administratorRoleRights)"
)

// statusError returns the error for a response whose status is not a 2xx.
func (c *client) statusError(response *httpclient.Response) *provider.Error {
	failure := response.StatusError(errorText(response.Body))
	if response.HasMembers("message") { // the form of the manager's errors
		failure = response.ProductError(errorText(response.Body))
	}
	if response.Status == http.StatusTooManyRequests {
		if failure.RetryAfter == 0 {
			failure.RetryAfter = rateWindow
		}
		failure.Remedy = "by default the manager allows 500 calls a minute per key: use a longer ttl, share credentials with " +
			"sharing=shared, or raise the limit at the manager"
	}
	return failure
}

// fixedPathError is statusError for a path that exists on every manager. There a 404 means that the address is
// wrong.
func (c *client) fixedPathError(response *httpclient.Response) *provider.Error {
	failure := c.statusError(response)
	if failure.Class == provider.ClassNotFound {
		failure.Class, failure.Field = provider.ClassInvalid, "address"
		failure.Remedy = "check that " + c.addressHint()
	}
	return failure
}

// addressHint returns the correct forms of the address, for remedies.
func (c *client) addressHint() string {
	return "the address in config/" + c.config + " is https://<manager>:4119/api (Deep Security Manager), " +
		"https://workload.<region>.cloudone.trendmicro.com/api (Vision One Server & Workload Protection) or " +
		"https://app.deepsecurity.trendmicro.com/api (a legacy account of Workload Security)"
}

// classify decides between the two meanings that some statuses have. To do so it asks the manager to describe
// the management key, which needs no right. rights are the rights that the failed call needs, for the remedy.
//
//   - 401 and 403: no status is documented for a key that is wrong, expired or locked out, and 403 is
//     documented for a missing right.
//   - 404: it is documented for an API key that does not exist. A wrong address or a proxy also answers 404 to
//     every request. If such a 404 counted as a deleted key, a live key would remain.
func (c *connection) classify(ctx context.Context, err error, rights string) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	switch {
	case httpclient.StatusOf(err) == http.StatusUnauthorized:
		return c.asUnauthenticated(failure)
	case failure.Class == provider.ClassNotFound:
		if _, probeErr := c.describeCurrent(ctx); probeErr != nil {
			return c.classifyCurrent(probeErr)
		}
		return failure
	case httpclient.StatusOf(err) != http.StatusForbidden:
		return failure
	}
	_, probeErr := c.describeCurrent(ctx)
	if keyRejected(probeErr) {
		return c.asUnauthenticated(failure)
	}
	failure.Class = provider.ClassForbidden
	failure.Remedy = "give the administrator role of the key in config/" + c.api.config + " the rights " + rights
	if probeErr != nil {
		failure.Remedy += "; the manager may have rejected the key itself instead: reading the key failed too: " + provider.ReaderText(probeErr)
		failure.AddDetail(probeErr)
	}
	return failure
}

// classifyCurrent is classify for an error of describeCurrentKey itself.
func (c *connection) classifyCurrent(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if ok && keyRejected(err) {
		return c.asUnauthenticated(failure)
	}
	return err
}

// keyRejected reports whether an error of describeCurrentKey means that the manager rejected the key. Every
// valid key may describe itself.
func keyRejected(err error) bool {
	status := httpclient.StatusOf(err)
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// asUnauthenticated turns failure into the error for a management key that the manager rejects, and starts the
// back-off.
func (c *connection) asUnauthenticated(failure *provider.Error) error {
	failure.Class = provider.ClassUnauthenticated
	failure.Remedy = "check " + fieldAPIKey + " in config/" + c.api.config +
		": the key may have expired, been locked out or been deleted at the manager (Administration, User Management, API Keys)"
	c.backoff.Observe(failure, c.clock.Now())
	return failure
}

// errCanceled is the error for a caller whose context ended during the handshake.
func errCanceled(cause error) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opCurrent, Err: errors.Join(provider.ErrNotSent, cause),
		Message: "the request was canceled before the manager was asked to create or change a key",
	}
}

// errOtherKey is the error for a handle whose ID belongs to another key.
func errOtherKey(op string, leased handle) error {
	return &provider.Error{
		Class: provider.ClassInvalid, Op: op,
		Message: fmt.Sprintf("the API key with ID %d at the manager is not the leased key, which is named %q", leased.ID, leased.Name),
		Remedy: "the management key may belong to another tenant now, or the leased key was renamed: " +
			"if the leased key still exists, delete it at the manager",
	}
}

// errKeyEnded is the error for a renewal of a key that no longer works.
func errKeyEnded(message string) error {
	return &provider.Error{
		Class: provider.ClassNotFound, Op: opModify, Message: message, Remedy: "read a new credential",
	}
}
