package fortianalyzer

import (
	"slices"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Names of the switches.
const (
	switchFormBody         = "oauth_form_body"
	switchClientCase       = "client_id_case"
	switchBadCredentials   = "bad_credentials_status"
	switchOAuthError       = "oauth_error_shape"
	switchExpiresIn        = "token_expires_in"
	switchSingleToken      = "single_active_token"
	switchRefreshToken     = "refresh_token"
	switchRefreshLife      = "refresh_token_life"
	switchRevokeRefresh    = "revoke_ends_refresh_token"
	switchProduct          = "product"
	switchLoginStatus      = "login_failure_status"
	switchLoginError       = "login_error_shape"
	switchPermission       = "permission_checked_at"
	switchLoginMax         = "login_max"
	switchAtLoginMax       = "at_login_max"
	switchIdleTimeout      = "idle_timeout"
	switchAbsoluteLife     = "absolute_life"
	switchFailuresRefresh  = "failing_calls_refresh"
	switchLogoutPermission = "logout_needs_permission"
	switchStatusData       = "status_data"
	switchSettingsReadable = "settings_readable"
	switchPortalEnds       = "portal_change_ends_sessions"
)

// switches lists what Fortinet's documents leave open, what they contradict each other about, and sizes.
func switches() []emulator.Switch {
	return slices.Concat(oauthSwitches(), instanceSwitches())
}

// oauthSwitches are about FortiCloud's OAuth server.
func oauthSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchFormBody, "an OAuth request with a form body instead of JSON is refused with 415 or 400, or accepted",
			"415", "400", "accept"),
		emulator.Choice(switchClientCase, "upper and lower case matter in client_id", "exact", "ignored"),
		emulator.Choice(switchBadCredentials, "status for a wrong or disabled API user, a wrong password or refresh token; 200 then has an error body",
			"401", "400", "200"),
		emulator.Choice(switchOAuthError, "errors of the OAuth server are {\"status\", \"message\"}, {\"error\", \"error_description\"}, or plain text",
			"status", "oauth", "plain"),
		emulator.Integer(switchExpiresIn, "life of an access token in seconds (the vendor's documents show 3600 and 14400)", 3600),
		emulator.Choice(switchSingleToken, "a new access token ends the one that the API user had for the same client_id",
			emulator.Yes, emulator.No),
		emulator.Choice(switchRefreshToken, "a refresh answers with a new refresh token and ends the old one, with the old one, or with none while the old one stays",
			"rotate", "keep", "absent"),
		emulator.Duration(switchRefreshLife, "life of a refresh token; 0 is no limit", 0),
		emulator.Choice(switchRevokeRefresh, "revoking an access token ends the refresh token that was issued with it",
			emulator.No, emulator.Yes),
	}
}

// instanceSwitches are about the FortiAnalyzer instance.
func instanceSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchProduct, "the instance takes access tokens of this client_id only", clientAnalyzer, clientManager),
		emulator.Choice(switchLoginStatus, "HTTP status of a failed login", "401", "403", "400", "200"),
		emulator.Choice(switchLoginError, "a failed login answers {\"status\": {\"code\", \"message\"}}, {\"error\", \"error_description\"}, {\"session\": null}, or an HTML page",
			"status", "oauth", "empty_session", "html"),
		emulator.Choice(switchPermission, "a user without permissions gets a session that is good for nothing, or none",
			"call", "login"),
		emulator.Integer(switchLoginMax, "sessions that an API user may have; 0 is no limit", loginMax),
		emulator.Choice(switchAtLoginMax, "one login more is refused, or ends the user's oldest session", "refuse", "evict_oldest"),
		emulator.Duration(switchIdleTimeout, "idle_timeout_api: how long a session lives after its last use", idleTimeout),
		emulator.Duration(switchAbsoluteLife, "how long a session lives whatever its use; 0 is no limit", 0),
		emulator.Choice(switchFailuresRefresh, "a call that is refused counts as use of its session", emulator.No, emulator.Yes),
		emulator.Choice(switchLogoutPermission, "a user without permissions cannot log out either", emulator.No, emulator.Yes),
		emulator.Choice(switchStatusData, "/sys/status answers with data, or with its status only", "present", "absent"),
		emulator.Choice(switchSettingsReadable, "a session may read idle_timeout_api", emulator.Yes, emulator.No),
		emulator.Choice(switchPortalEnds, "disabling an API user or resetting its password ends its sessions", emulator.No, emulator.Yes),
	}
}
