package trend

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// message is the body of every refusal under /api.
type message struct {
	Message string `json:"message"`
}

// refuse answers with a message.
func refuse(w http.ResponseWriter, status int, text string) {
	emulator.WriteJSON(w, status, message{text})
}

// refuseLegacy answers an error of the older REST API.
func refuseLegacy(w http.ResponseWriter, status int, text string) {
	emulator.WriteJSON(w, status, map[string]message{"error": {text}})
}

// errorBody is an injected error as the vendor would write it.
func errorBody(status int) (contentType string, body []byte) {
	body, err := json.Marshal(message{http.StatusText(status)})
	if err != nil {
		panic("trend: error body: " + err.Error())
	}
	return "application/json", body
}

// status reads a switch that holds an HTTP status.
func (svc *service) status(name string) int {
	status, err := strconv.Atoi(svc.env.Switch(name))
	if err != nil {
		panic("trend: switch " + name + " holds no status")
	}
	return status
}
