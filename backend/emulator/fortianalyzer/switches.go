package fortianalyzer

import (
	"slices"
	"time"

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
	switchNoSlash          = "missing_slash"
	switchLockoutThreshold = "lockout_threshold"
	switchLockoutDuration  = "lockout_duration"
	switchLockoutCounts    = "lockout_counts"
	switchRateLimit        = "rate_limit_per_minute"
	switchRetryAfter       = "rate_limit_retry_after"
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

// switches returns a switch for each choice that Fortinet's documents leave open or contradict, and for each limit.
func switches() []emulator.Switch {
	return slices.Concat(oauthSwitches(), instanceSwitches())
}

// oauthSwitches are about FortiCloud's OAuth server.
func oauthSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchFormBody, "a token request with a form body, or with JSON that is labelled as a form, is accepted, or refused with 415 or 400; "+
			"the other OAuth requests take JSON only",
			"accept", "415", "400"),
		emulator.Choice(switchClientCase, "client_id is compared exactly, or without regard to upper and lower case", "exact", "ignored"),
		emulator.Choice(switchBadCredentials, "status for a wrong or disabled API user, a wrong password or refresh token; 200 comes with an error body",
			"400", "401", "200"),
		emulator.Choice(switchOAuthError, "errors of the OAuth server are {\"error\", \"error_description\"}, {\"status\", \"message\"}, or plain text",
			"oauth", "status", "plain"),
		emulator.Integer(switchExpiresIn, "lifetime of an access token in seconds (the sources show 3600, 3660 and 14400)", 3660),
		emulator.Choice(switchSingleToken, "a new access token ends the API user's access token for the same client_id",
			emulator.Yes, emulator.No),
		emulator.Choice(switchRefreshToken, "a refresh answers with a new refresh token and ends the old one, with the old one, or with none and keeps the old one",
			"rotate", "keep", "absent"),
		emulator.Duration(switchRefreshLife, "lifetime of a refresh token; 0 is no limit", 0),
		emulator.Choice(switchRevokeRefresh, "revoking an access token ends the refresh token that was issued with it",
			emulator.No, emulator.Yes),
		emulator.Choice(switchNoSlash, "a path without the slash at its end is redirected with 301, or unknown with 404", "301", "404"),
		emulator.Integer(switchLockoutThreshold, "number of password grants within lockout_duration that locks the account out, for all client_ids; 0 is never", 60),
		emulator.Duration(switchLockoutDuration, "time without a grant after which a lockout ends", 30*time.Minute),
		emulator.Choice(switchLockoutCounts, "the grants that count towards the lockout: password grants, refused ones only, or refresh grants too",
			"password", "refused", "all"),
		emulator.Integer(switchRateLimit, "requests a minute that the OAuth server accepts for an API user, before 429; 0 is no limit (one source shows 100)", 0),
		emulator.Choice(switchRetryAfter, "a 429 has a Retry-After", emulator.Yes, emulator.No),
	}
}

// instanceSwitches are about the FortiAnalyzer instance.
func instanceSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchProduct, "the instance accepts only access tokens of this client_id", clientAnalyzer, clientManager),
		emulator.Choice(switchLoginStatus, "HTTP status of a failed login", "401", "403", "400", "200"),
		emulator.Choice(switchLoginError, "a failed login answers {\"status\": {\"code\", \"message\"}}, {\"error\", \"error_description\"}, {\"session\": null}, or an HTML page",
			"status", "oauth", "empty_session", "html"),
		emulator.Choice(switchPermission, "a user without permissions gets a session whose calls are refused, or none",
			"call", "login"),
		emulator.Integer(switchLoginMax, "most sessions of an API user; 0 is no limit", loginMax),
		emulator.Choice(switchAtLoginMax, "one more login is refused, or ends the user's oldest session", "refuse", "evict_oldest"),
		emulator.Duration(switchIdleTimeout, "idle_timeout_api: time after its last use at which a session ends", idleTimeout),
		emulator.Duration(switchAbsoluteLife, "longest lifetime of a session, even if it is used; 0 is no limit", 0),
		emulator.Choice(switchFailuresRefresh, "a refused call counts as use of its session", emulator.No, emulator.Yes),
		emulator.Choice(switchLogoutPermission, "a user without permissions cannot log out", emulator.No, emulator.Yes),
		emulator.Choice(switchStatusData, "/sys/status answers with data, or with a status only", "present", "absent"),
		emulator.Choice(switchSettingsReadable, "a session may read idle_timeout_api", emulator.Yes, emulator.No),
		emulator.Choice(switchPortalEnds, "disabling an API user or resetting its password ends its sessions", emulator.No, emulator.Yes),
	}
}
