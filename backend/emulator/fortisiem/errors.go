package fortisiem

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// The messages of the token endpoint, word for word from the vendor's OpenAPI document "API Token" 7.5.1, except
// messageParameters, which was seen with a client of the vendor.
const (
	messageWrongPair  = "Invalid ClientId or ClientSecret"
	messageOwner      = "Unauthorized user (the user who created the client does not have permission to request tokens)"
	messageExpired    = "Client secret expired"
	messageRevoked    = "Client ID revoked"
	messageRate       = "Rate limit exceeded. Limit is 1 token request per ClientId every 5 seconds"
	messageThreshold  = "Failure threshold exceeded. Token requests blocked for 5 minutes"
	messageParameters = "Invalid input parameters"
	messageInternal   = "Internal server error occurred while issuing token"

	// messageUnauthorized is the message of a 401 of a resource.
	messageUnauthorized = "Not authorized"
)

// errorAnswer is the body of an error.
type errorAnswer struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

// refuse400 answers with 400, which the token endpoint uses for nearly all errors.
func (svc *service) refuse400(w http.ResponseWriter, message string) {
	svc.refuse(w, http.StatusBadRequest, "BAD_REQUEST", message)
}

// refuse answers an error in the form of the switch error_shape.
func (svc *service) refuse(w http.ResponseWriter, status int, name, message string) {
	if svc.env.Switch(switchErrorShape) == "plain_as_json" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(message)) // w is a buffer
		return
	}
	svc.writeJSON(w, status, errorAnswer{name, message})
}

// writeJSON answers with v as JSON, with the content type of the switch json_content_type.
func (svc *service) writeJSON(w http.ResponseWriter, status int, v any) {
	if svc.env.Switch(switchJSONLabel) == "application/json" {
		emulator.WriteJSON(w, status, v)
		return
	}
	body, err := json.Marshal(v)
	if err != nil {
		panic("fortisiem: answer cannot be written as JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "text/plain;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // w is a buffer
}

// errorName returns the member "error" for a status.
func errorName(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "BAD_REQUEST"
	case http.StatusInternalServerError:
		return "INTERNAL_ERROR"
	}
	return strings.ToUpper(strings.ReplaceAll(http.StatusText(status), " ", "_"))
}

// errorBody is the body of an injected error in the vendor's form.
func errorBody(status int) (contentType string, body []byte) {
	message := http.StatusText(status)
	if status == http.StatusInternalServerError {
		message = messageInternal
	}
	body, err := json.Marshal(errorAnswer{errorName(status), message})
	if err != nil {
		panic("fortisiem: error body: " + err.Error())
	}
	return "application/json", body
}
