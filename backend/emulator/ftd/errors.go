package ftd

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// tokenStatus is the body of the token endpoint's errors, of its answer to a revocation, and of the errors of
// the authentication filter.
type tokenStatus struct {
	Message    string `json:"message"`
	StatusCode int    `json:"status_code"`
}

// writeStatus answers with a tokenStatus.
func writeStatus(w http.ResponseWriter, status int, message string) {
	emulator.WriteJSON(w, status, tokenStatus{message, status})
}

// errorWrapper is the body of a resource's errors.
type errorWrapper struct {
	Error struct {
		Severity string         `json:"severity"`
		Key      string         `json:"key"`
		Messages []errorMessage `json:"messages"`
	} `json:"error"`
}

// errorMessage is one message of an errorWrapper.
type errorMessage struct {
	Description string `json:"description"`
	Code        string `json:"code"`
	Location    string `json:"location"`
}

// newError makes an errorWrapper; key is General, Validation or Deployment.
func newError(key, code, description string) errorWrapper {
	var body errorWrapper
	body.Error.Severity, body.Error.Key = "ERROR", key
	body.Error.Messages = []errorMessage{{Description: description, Code: code}}
	return body
}

// writeError answers with an errorWrapper.
func writeError(w http.ResponseWriter, status int, key, code, description string) {
	emulator.WriteJSON(w, status, newError(key, code, description))
}

// errorBody is the body of an injected error. The status determines the form: a tokenStatus for the statuses of
// the token endpoint and the authentication filter, an errorWrapper for those of resources.
func errorBody(status int) (contentType string, body []byte) {
	var shape any = newError("General", "", http.StatusText(status))
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestTimeout:
		shape = tokenStatus{http.StatusText(status), status}
	}
	body, err := json.Marshal(shape)
	if err != nil {
		panic("ftd: error body: " + err.Error())
	}
	return "application/json", body
}

// refuseMethod answers a request with a method that the resource does not have.
func (svc *service) refuseMethod(w http.ResponseWriter) {
	writeError(w, svc.status(switchMethodStatus), "General", "", "The method is not supported by this resource.")
}

// status returns the value of a switch that holds an HTTP status.
func (svc *service) status(name string) int {
	status, err := strconv.Atoi(svc.env.Switch(name))
	if err != nil {
		panic("ftd: switch " + name + " holds no status")
	}
	return status
}
