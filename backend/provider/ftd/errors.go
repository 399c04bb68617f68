package ftd

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider"
	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/provider/httpclient"
)

const (
	// tooManyAttempts begins the device's message after several wrong passwords. It is confirmed by Cisco's client, which
	// waits 15 to 60 seconds then. It says nothing about the password of the refused request.
	tooManyAttempts = "Too many failed attempts"

	// attemptsRetry is how long the driver sends no login after that message.
	attemptsRetry = 60 * time.Second
)

// lockedRetry is the time that Cisco's client waits when the device's configuration database is locked.
const lockedRetry = 10 * time.Second

// errUnconfirmed is the cause of an error about a successful status whose body does not confirm the revocation.
var errUnconfirmed = errors.New("the answer does not confirm the revocation")

// statusError turns an answer whose status is not 2xx into an error.
func (c *client) statusError(response *httpclient.Response) *provider.Error {
	own := response.HasMembers("status_code", "message") || response.HasMembers("error") && errorText(response.Body) != ""
	failure := response.StatusError(errorText(response.Body))
	if own { // one of the two documented forms
		failure = response.ProductError(errorText(response.Body))
	}
	if text := errorText(response.Body); len(text) >= len(tooManyAttempts) && strings.EqualFold(text[:len(tooManyAttempts)], tooManyAttempts) {
		failure.Class = provider.ClassRateLimited
		failure.RetryAfter = max(failure.RetryAfter, attemptsRetry)
		failure.Remedy = "another client may have used a wrong password; the engine logs in again after this time"
		return failure
	}
	switch response.Status {
	case http.StatusRequestTimeout:
		// This status has another meaning here: a Cisco client calls it "token expiration" and treats it like 401. A
		// proxy means a timeout by it, and the device may have served the request.
		if failure.Class != provider.ClassAmbiguous {
			failure.Class = provider.ClassUnauthenticated
		}
	case http.StatusNotFound, http.StatusGone:
		// All paths are fixed, so the server is not an FTD device. ClassNotFound would mean that a credential has ended.
		failure.Class = provider.ClassInvalid
		failure.Remedy = "check that the address in config/" + c.config + " is a device that is managed on the box (FDM)"
	case http.StatusForbidden:
		failure.Remedy = "finish the device's setup wizard, or give the user in config/" + c.config + " a role that may do this"
	case http.StatusLocked:
		failure.Message = "the device's configuration database is locked"
		if failure.RetryAfter == 0 {
			failure.RetryAfter = lockedRetry
		}
	case http.StatusServiceUnavailable:
		if !own {
			break // a proxy's
		}
		failure.Message = "the device is starting, or its management is not ready yet"
	}
	return failure
}

// refused reports whether err is an answer by which the device refuses a request made with this token; it may accept
// the same request with another token. Such an answer proves that the device issued and revoked nothing.
func refused(err error) bool {
	switch provider.ClassOf(err) {
	case provider.ClassRateLimited, provider.ClassAmbiguous:
		return false
	}
	switch httpclient.StatusOf(err) {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound,
		http.StatusRequestTimeout, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// isTimeoutStatus reports whether err is an answer with the status 408, which may be the device's "token expiration" or a
// proxy's timeout.
func isTimeoutStatus(err error) bool { return httpclient.StatusOf(err) == http.StatusRequestTimeout }

// inconclusive reports whether the device refused a revocation or did not confirm it. Then the caller checks whether
// the token still works.
func inconclusive(err error) bool { return refused(err) || errors.Is(err, errUnconfirmed) }

// asForbidden changes the class of a refusal from ClassUnauthenticated to ClassForbidden. It is for a refusal that
// came although the engine's login works: the request is the reason, not the root credential.
func asForbidden(err error) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Class == provider.ClassUnauthenticated {
		failure.Class = provider.ClassForbidden
	}
	return err
}

// asUnavailable changes the class of a failed login from ClassAmbiguous to ClassUnavailable: the outcome of the login
// is not known, but the operation that needs the login has not started.
func asUnavailable(err error) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok && failure.Class == provider.ClassAmbiguous {
		failure.Class = provider.ClassUnavailable
	}
	return err
}

// withRemedy replaces the remedy of an error of a known class.
func withRemedy(err error, remedy string) error {
	if failure, ok := errors.AsType[*provider.Error](err); ok {
		failure.Remedy = remedy
	}
	return err
}

// errorText returns the vendor's message in the body of an error, of either documented shape: the status object of
// the token endpoint or the error wrapper of the resources. It returns "" for any other body.
func errorText(body []byte) string {
	var answer struct {
		Message string `json:"message"`
		Error   struct {
			Messages []struct {
				Description string `json:"description"`
			} `json:"messages"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return ""
	}
	var texts []string
	for _, message := range answer.Error.Messages {
		if message.Description != "" {
			texts = append(texts, message.Description)
		}
	}
	if len(texts) > 0 {
		return strings.Join(texts, "; ")
	}
	return answer.Message
}
