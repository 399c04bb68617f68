package vendorfacts

import (
	"net/http"
	"time"
)

// All returns the facts about every vendor, in the order of the README.
func All() []Vendor {
	return []Vendor{ftd(), fortiAnalyzer(), fortiSIEM(), lacework(), trend()}
}

func ftd() Vendor {
	return Vendor{
		Name: "ftd", Product: "Cisco Secure Firewall Threat Defense",
		Root: []string{"username", "password"}, Secret: "password",
		Operations: Operations{
			Login: "password", Issue: "custom_token", Renew: "object/users", Revoke: "revoke_token",
			RotateRoot: "PUT */object/users/*",
		},
		Marked: true, Renewal: RenewalWithinLife, Revokes: true,
		Sessions:  5,
		EndAction: &EndAction{Name: "end_sessions", EndedBy: "administrator"},
		request:   bearerGet("/object/networks"),
		// The device answers an ended token with 401 or 408: it is not documented which.
		judge: byStatus([]int{http.StatusOK}, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout),
	}
}

func fortiAnalyzer() Vendor {
	return Vendor{
		Name: "fortianalyzer", Product: "FortiAnalyzer Cloud",
		Root: []string{"username", "password"}, Secret: "password",
		Operations: Operations{Issue: "forticloud_jsonrpc_login", Renew: "get /sys/status", Revoke: "exec /sys/logout"},
		Renewal:    RenewalExtends, IdleTimeout: 15 * time.Minute, Revokes: true,
		EndAction: &EndAction{Name: "end_sessions", EndedBy: "administrator"},
		hints:     []string{"url"},
		request:   statusCall,
		judge:     byRPCCode,
	}
}

func fortiSIEM() Vendor {
	return Vendor{
		Name: "fortisiem", Product: "FortiSIEM",
		Root: []string{"client_id", "client_secret"}, Secret: "client_secret",
		Operations: Operations{Issue: "oauth_token"},
		Renewal:    RenewalNone, FixedLife: 15 * time.Minute,
		Hook: &Hook{
			Path: "/phoenix/rest/pub/security/oauth/revoke", Body: "token={{token}}",
			Operation: "oauth_revoke", Switch: "revoke_route",
		},
		request: bearerGet("/phoenix/rest/system/health/summary"),
		judge:   byStatus([]int{http.StatusOK}, http.StatusUnauthorized, http.StatusForbidden),
	}
}

func lacework() Vendor {
	return Vendor{
		Name: "lacework", Product: "Lacework FortiCNAPP",
		Root: []string{"key_id", "secret_key"}, Secret: "secret_key",
		Operations: Operations{Issue: "access_token"},
		Renewal:    RenewalNone,
		request:    accountGet("/api/v2/UserProfile"),
		judge:      byStatus([]int{http.StatusOK, http.StatusNoContent}, http.StatusUnauthorized, http.StatusForbidden),
	}
}

func trend() Vendor {
	return Vendor{
		Name: "trend", Product: "Trend Micro Deep Security",
		Root: []string{"api_key"}, Secret: "api_key",
		// The emulator's role of keys that may create keys.
		Bootstrap: map[string]any{"bootstrap_role_id": 3},
		Role:      map[string]any{"role_name": "Auditor"},
		Operations: Operations{
			Issue: "createApiKey", Renew: "modifyApiKey", Revoke: "deleteApiKey", RotateRoot: "createApiKey",
		},
		Marked: true, Renewal: RenewalExtends, Revokes: true,
		EndAction: &EndAction{Name: "delete_key", EndedBy: "deleted_at_console", arguments: keyID},
		hints:     []string{"api_version", "api_key_id"},
		request:   keyGet("/apikeys/current"),
		judge:     byStatus([]int{http.StatusOK}, http.StatusUnauthorized, http.StatusForbidden),
	}
}
