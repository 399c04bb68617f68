package fortianalyzer

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// URLs of the calls that the instance serves.
const (
	urlStatus        = "/sys/status"
	urlLogout        = "/sys/logout"
	urlCLIStatus     = "/cli/global/system/status"
	urlGlobal        = "/cli/global/system/global"
	urlAdminSettings = "/cli/global/system/admin/setting"
)

// rpcRequest is the envelope of a call. Clients may omit id and jsonrpc, and may send other members.
type rpcRequest struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params []struct {
		URL string `json:"url"`
	} `json:"params"`
	Session *string `json:"session"`
}

// rpcStatus is the outcome of a call.
type rpcStatus struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// The two documented statuses. The second one means that the session is unknown, closed or expired, or that its
// user does not have the permission.
var (
	statusOK           = rpcStatus{0, "OK"}
	statusNoPermission = rpcStatus{-11, "No permission for the resource"}
)

// rpcResult is one element of an answer's result.
type rpcResult struct {
	Data   any       `json:"data,omitempty"`
	Status rpcStatus `json:"status"`
	URL    string    `json:"url"`
}

// rpc answers POST /jsonrpc. The body contains the outcome of a call. The HTTP status is always 200 (inferred: all
// clients read the code from the body), except if the request is not JSON.
func (svc *service) rpc(w http.ResponseWriter, r *http.Request) {
	var call rpcRequest
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &call)
	}
	if err != nil {
		http.Error(w, "Bad Request", http.StatusBadRequest)
		return
	}
	results := make([]rpcResult, 0, len(call.Params))
	for _, param := range call.Params {
		data, status := svc.act(call, withSlash(param.URL))
		results = append(results, rpcResult{Data: data, Status: status, URL: param.URL})
	}
	answer := map[string]any{"result": results}
	if call.ID != nil {
		answer["id"] = call.ID
	}
	writeEscaped(w, answer)
}

// withSlash returns a url with a slash at its beginning, which clients may omit.
func withSlash(url string) string { return "/" + strings.TrimPrefix(url, "/") }

// act performs one call.
func (svc *service) act(call rpcRequest, url string) (data any, status rpcStatus) {
	if call.Session == nil {
		return nil, statusNoPermission
	}
	s := svc.sessions[*call.Session]
	if s == nil || !svc.env.History.Live(s.id) {
		return nil, statusNoPermission
	}
	data, known := svc.resource(call.Method, url)
	logout := call.Method == "exec" && url == urlLogout
	forbidden := s.user.forbidden && (!logout || svc.env.Enabled(switchLogoutPermission))
	switch {
	case forbidden || !known:
		// The code for an unknown url is not documented. This is the only documented code of an error.
		if svc.env.Enabled(switchFailuresRefresh) {
			svc.env.History.Extend(s.id, svc.idleEnd(s))
		}
		return nil, statusNoPermission
	case logout:
		svc.env.History.End(s.id, emulator.EndedRevoked)
		return nil, statusOK
	}
	svc.env.History.Extend(s.id, svc.idleEnd(s))
	return data, statusOK
}

// resource returns the data that a call reads. It reports false if the call is unknown.
func (svc *service) resource(method, url string) (data any, known bool) {
	product := svc.env.Switch(switchProduct)
	switch {
	case method == "exec" && url == urlLogout:
		return nil, true
	case method != "get":
		return nil, false
	case url == urlStatus || url == urlCLIStatus:
		if svc.env.Switch(switchStatusData) == "absent" {
			return nil, true
		}
		return map[string]any{
			"Admin Domain Configuration": "Enabled",
			"Hostname":                   product + "-Cloud",
			"Platform Type":              map[string]string{clientAnalyzer: "FAZVM64-VIO-CLOUD", clientManager: "FMGVM64-VIO-CLOUD"}[product],
			"Serial Number":              map[string]string{clientAnalyzer: "FAZVCLTM26000001", clientManager: "FMGVCLTM26000001"}[product],
			"Version":                    "v7.6.6-build3652 260114 (GA.M)",
		}, true
	case url == urlGlobal:
		return map[string]any{"hostname": product + "-Cloud", "adom-status": "enable", "workspace-mode": "disabled"}, true
	case url == urlAdminSettings && svc.env.Enabled(switchSettingsReadable):
		return map[string]any{"idle_timeout_api": int(svc.env.Duration(switchIdleTimeout) / time.Second)}, true
	}
	return nil, false
}
