package fortianalyzer

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

// rejectedPasswordBackoff is how long a rejected password is not tried again, and maxRejectedPasswordBackoff what that
// grows to. A FortiCloud account that is locked out recovers only after 15 to 30 minutes without an attempt, and an attempt
// before that extends the lockout.
const (
	rejectedPasswordBackoff    = 30 * time.Minute
	maxRejectedPasswordBackoff = time.Hour
)

// remedyPermission is the remedy for an API user without permissions.
const remedyPermission = "in the FortiCloud IAM portal, give the API user a permission for this product that can at least read the system settings"

// remedyLockout is the remedy for a rejected password that has worked before.
func remedyLockout(config string) string {
	return "either the password was changed (each download of the API user's credential file changes it): write the new one to config/" + config +
		"; or FortiCloud has locked the account out after many logins, which ends after 15 to 30 minutes without any: stop other programs " +
		"that log in as this API user, and wait; or the API user was disabled"
}

// errIndeterminate is in the chain of an error of the OAuth server if the server may have done what was asked.
var errIndeterminate = errors.New("the OAuth server may have issued an access token")

// errCanceled is returned when the context ends while a caller waits for an access token.
func errCanceled(cause error) error {
	return &provider.Error{
		Class: provider.ClassUnavailable, Op: opToken,
		Message: "no session was requested: the request was canceled or timed out while it waited for an access token",
		Err:     errors.Join(provider.ErrNotSent, cause),
	}
}

// errNotReplaced is returned when the instance rejects the access token and the token is not replaced: it is valid, or
// it was replaced a short time ago. rest is how long that lasts, if that is known.
func errNotReplaced(rest time.Duration) error {
	return &provider.Error{
		Class: provider.ClassForbidden, Op: opLogin, RetryAfter: rest,
		Message: "the instance rejects the access token, which was replaced a short time ago",
		Remedy:  "check that no other program logs in as the same API user: each new access token ends the previous one",
		Err:     provider.ErrNotSent,
	}
}

// tokenError makes an error from an answer of the OAuth server that contains no access token. 400 with the error
// "invalid_grant" is what published clients have seen for a wrong password and for an account that is locked out. 401 is
// documented for FortiAuthenticator, and inferred for this server. A rejection with status 200 is not documented, but the
// body has a member that marks success, so it may mark failure too.
func (c *client) tokenError(response *httpclient.Response) error {
	body := readErrorBody(response.Body)
	if response.Status == http.StatusOK && body.text == "" {
		return response.UnexpectedResponse("the answer contains no access_token")
	}
	failure := response.StatusError(body.text)
	switch response.Status {
	case http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized:
		failure.Class = provider.ClassUnauthenticated
		failure.RetryAfter = max(failure.RetryAfter, rejectedPasswordBackoff)
		failure.Remedy = "check username, password and client_id in config/" + c.config +
			"; each download of the API user's credential file changes the password"
	case http.StatusForbidden:
		failure.RetryAfter = max(failure.RetryAfter, rejectedPasswordBackoff)
		failure.Remedy = "check in the FortiCloud IAM portal that the API user is enabled and has access to this product"
	case http.StatusNotFound, http.StatusGone:
		// The path is fixed, so the host is not the OAuth server.
		failure.Class, failure.Field = provider.ClassInvalid, fieldAuthAddress
		failure.Remedy = "check auth_address in config/" + c.config + "; FortiCloud's is " + defaultAuthAddress
	}
	return failure
}

// asOAuthError adapts an error of the HTTP client to the OAuth server: the field is auth_address, and the class is
// never ClassAmbiguous, because no session was requested.
func (c *client) asOAuthError(err error) error {
	failure, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return err
	}
	if failure.Class == provider.ClassAmbiguous {
		failure.Class = provider.ClassUnavailable
		failure.Err = errors.Join(errIndeterminate, failure.Err)
	}
	if failure.Field == "address" {
		failure.Field = fieldAuthAddress
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		failure.Remedy = "correct auth_address in config/" + c.config // tls_server_name does not apply to this server
	}
	return failure
}

// loginError makes an error from an answer of the instance that contains no session. The vendor does not document how
// the instance rejects a login, not even at the limit of sessions, so the remedy names all possible causes. A body that
// gives a reason is a rejection whatever the status. A body without a reason is a rejection only if the status says so.
func (c *client) loginError(response *httpclient.Response) error {
	body := readErrorBody(response.Body)
	status := response.Status
	if response.OK() {
		if body.text == "" && body.code == 0 {
			return response.UnexpectedResponse("the answer contains no session")
		}
		status = body.code
	}
	failure := c.instanceError(response, body)
	switch {
	case status == http.StatusTooManyRequests:
		failure.Class = provider.ClassRateLimited
		return failure
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden, response.OK():
		// The OAuth server has accepted the password, so this is no ClassUnauthenticated.
		failure.Class = provider.ClassForbidden
	default:
		return failure
	}
	failure.Remedy = "check that the API user has a permission for this product in the FortiCloud IAM portal and has not reached its login-max on " +
		"the instance, that client_id in config/" + c.config + " fits the product, and that no other program logs in as the same API user: " +
		"each new access token ends the previous one"
	return failure
}

// instanceError makes an error from an answer of the instance by its HTTP status.
func (c *client) instanceError(response *httpclient.Response, body errorBody) *provider.Error {
	failure := response.StatusError(body.text)
	if body.code != 0 && response.HasMembers("status") {
		// The form of the instance's errors. A proxy does not send a code.
		failure = response.ProductError(body.text)
	}
	if failure.Class == provider.ClassNotFound {
		// The paths are fixed, so the host is not the product. The status does not concern a session.
		failure.Class, failure.Field = provider.ClassInvalid, "address"
		failure.Remedy = "check that the address in config/" + c.config + " is <account-id>.<region>.fortianalyzer.forticloud.com"
	}
	return failure
}

// failure makes an error from a result whose code is known.
func (r *rpcResult) failure(class provider.Class, meaning, remedy string) *provider.Error {
	return r.failureAs(r.op, class, meaning, remedy)
}

// failureAs is failure under the name of another operation, for an operation that takes several calls.
func (r *rpcResult) failureAs(op string, class provider.Class, meaning, remedy string) *provider.Error {
	return &provider.Error{
		Class: class, Op: op, Remedy: remedy, Message: fmt.Sprintf("%s (code %d)", meaning, r.code), Detail: r.message,
	}
}

// noPermission is the error for a new session that cannot read the system status.
func (r *rpcResult) noPermission() *provider.Error {
	return r.failure(provider.ClassForbidden, "the login works, but the session has no permissions", remedyPermission)
}

// unexpected is the error for a code that is not documented.
func (r *rpcResult) unexpected() *provider.Error {
	return r.failure(provider.ClassUnavailable, "the instance answered with a code whose meaning is not documented", "")
}

// errorBody contains the members that are understood in the body of an error.
type errorBody struct {
	code int // of {"status": {"code"}} or {"error": {"code"}}
	text string
}

// readErrorBody reads the body of an error of either server. The shape is not documented. It understands all shapes
// that published clients and guides show: {"error", "error_description"}, {"status", "message"}, and an object
// {"code", "message"} as status or error. For any other body the result is zero.
func readErrorBody(content []byte) errorBody {
	var members map[string]json.RawMessage
	if json.Unmarshal(content, &members) != nil {
		return errorBody{}
	}
	var body errorBody
	for _, name := range []string{"error_description", "error", "message"} {
		var text string
		if json.Unmarshal(members[name], &text) == nil && text != "" {
			body.text = text
			break
		}
	}
	for _, name := range []string{"status", "error"} {
		var inner struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		if json.Unmarshal(members[name], &inner) != nil || inner.Code == 0 {
			continue
		}
		body.code = inner.Code
		if body.text == "" {
			body.text = inner.Message
		}
		break
	}
	return body
}
