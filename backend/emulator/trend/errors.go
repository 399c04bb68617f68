package trend

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// message is the body of every error under /api.
type message struct {
	Message string `json:"message"`
}

// refuse answers with a message.
func refuse(w http.ResponseWriter, status int, text string) {
	emulator.WriteJSON(w, status, message{text})
}

// refuseLegacy answers an error of the legacy REST API.
func refuseLegacy(w http.ResponseWriter, status int, text string) {
	emulator.WriteJSON(w, status, map[string]message{"error": {text}})
}

// errorBody is the body of an injected error in the vendor's form.
func errorBody(status int) (contentType string, body []byte) {
	body, err := json.Marshal(message{http.StatusText(status)})
	if err != nil {
		panic("trend: error body: " + err.Error())
	}
	return "application/json", body
}

// status returns the value of a switch that holds an HTTP status.
func (svc *service) status(name string) int {
	status, err := strconv.Atoi(svc.env.Switch(name))
	if err != nil {
		panic("trend: switch " + name + " holds no status")
	}
	return status
}
