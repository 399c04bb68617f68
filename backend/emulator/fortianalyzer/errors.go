package fortianalyzer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// refuseOAuth answers an error of the OAuth server in the form of the switch oauth_error_shape.
func (svc *service) refuseOAuth(w http.ResponseWriter, status int, code, message string) {
	switch svc.env.Switch(switchOAuthError) {
	case "oauth":
		emulator.WriteJSON(w, status, map[string]any{"error": code, "error_description": message})
	case "plain":
		http.Error(w, message, status)
	default:
		emulator.WriteJSON(w, status, map[string]string{"status": "error", "message": message})
	}
}

// refuseLogin answers a failed login: a body without a session, with the HTTP status of the switch
// login_failure_status. code is the code inside the body, which only one third-party guide shows.
func (svc *service) refuseLogin(w http.ResponseWriter, code int, name, message string) {
	status := svc.status(switchLoginStatus)
	switch svc.env.Switch(switchLoginError) {
	case "oauth":
		emulator.WriteJSON(w, status, map[string]string{"error": name, "error_description": message})
	case "empty_session":
		emulator.WriteJSON(w, status, map[string]any{"session": nil})
	case "html":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<!DOCTYPE html><html><body>" + message + "</body></html>")) // w is a buffer
	default:
		emulator.WriteJSON(w, status, map[string]any{"status": rpcStatus{code, message}})
	}
}

// oauthErrorBody is the body of an injected error in the form of the OAuth server.
func oauthErrorBody(status int) (contentType string, body []byte) {
	return marshal(map[string]string{"status": "error", "message": http.StatusText(status)})
}

// instanceErrorBody is the body of an injected error in the form of the instance.
func instanceErrorBody(status int) (contentType string, body []byte) {
	return marshal(map[string]any{"status": rpcStatus{status, http.StatusText(status)}})
}

// marshal returns v as a JSON body.
func marshal(v any) (contentType string, body []byte) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("fortianalyzer: body cannot be written as JSON: " + err.Error())
	}
	return "application/json", body
}

// writeEscaped answers 200 with JSON whose slashes are escaped, as the instance does. In JSON a slash can only
// be inside a string.
func writeEscaped(w http.ResponseWriter, v any) {
	contentType, body := marshal(v)
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(bytes.ReplaceAll(body, []byte("/"), []byte(`\/`))) // w is a buffer
}

// status returns the value of a switch that holds an HTTP status.
func (svc *service) status(name string) int {
	status, err := strconv.Atoi(svc.env.Switch(name))
	if err != nil {
		panic("fortianalyzer: switch " + name + " holds no status")
	}
	return status
}
