package ftd

import (
	"slices"
	"time"

	"github.com/vendorauth/vault-plugin-secrets-vendorauth/backend/emulator"
)

// Names of the switches.
const (
	switchDeviceState        = "device_state"
	switchHARole             = "ha_role"
	switchMethodStatus       = "method_not_allowed_status"
	switchEndedTokenStatus   = "ended_token_status"
	switchForbiddenStatus    = "forbidden_status"
	switchSessionLimit       = "session_limit"
	switchSessionScope       = "session_scope"
	switchOldestBy           = "oldest_by"
	switchSlotUntil          = "slot_held_until"
	switchCustomCounts       = "custom_tokens_count"
	switchMinimumExpiry      = "minimum_expires_in"
	switchMissingExpiry      = "missing_expires_in"
	switchAboveMaximum       = "above_maximum"
	switchShortRefresh       = "refresh_not_longer_than_access"
	switchMissingCount       = "missing_refresh_count"
	switchMaximumCount       = "maximum_refresh_count"
	switchMissingSubject     = "missing_subject"
	switchSubjectCharacters  = "subject_characters"
	switchSubjectLength      = "maximum_subject_length"
	switchDuplicateSubject   = "duplicate_subject"
	switchNoRefreshMembers   = "no_refresh_members"
	switchPasswordDesired    = "password_grant_honours_desired"
	switchWeakRoles          = "weak_roles_may_manage_tokens"
	switchFailedRefresh      = "failed_refresh_status"
	switchRefreshKills       = "refresh_kills_old_access"
	switchRefreshReuse       = "used_refresh_token"
	switchRevokeUnknownToken = "revoke_unknown_token"
	switchRevokeUnknownSubj  = "revoke_unknown_subject"
	switchRevokeSubject      = "revoke_subject"
	switchRevokeToken        = "revoke_token"
	switchParentRevoke       = "parent_revoke_kills_custom"
	switchPasswordChange     = "password_change_ends"
	switchPasswordPolicy     = "password_policy"
	switchRebootKeeps        = "reboot_keeps_tokens"
	switchListsCustom        = "custom_tokens_in_sessions"
	switchCustomName         = "custom_token_session_name"
	switchSessionID          = "session_id_is_jti"
	switchSessionDelete      = "session_delete_status"
	switchDefaultSession     = "default_session"
	switchLockThreshold      = "failed_attempts_until_lockout"
	switchLockDuration       = "failed_attempts_lockout"
	switchLockStatus         = "failed_attempts_status"
	switchExternalUsers      = "external_users"
	switchExternalChange     = "external_user_change"
	switchLocalSource        = "local_identity_source"
)

// switches returns a switch for each choice that Cisco's documents leave open, and for each state of a device.
func switches() []emulator.Switch {
	return slices.Concat(deviceSwitches(), userSwitches(), issueSwitches(), endSwitches(), sessionSwitches())
}

// deviceSwitches are about the state of the device and its session limit.
func deviceSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchDeviceState, "ready; booting: 503 for everything; setup_wizard: 403 and busy: 423 for everything that needs a token",
			"ready", "booting", "setup_wizard", "busy"),
		emulator.Choice(switchHARole, "role of the unit in a high-availability pair; users cannot be changed on the standby unit", "active", "standby"),
		emulator.Choice(switchMethodStatus, "status for a method that a resource does not have", "405", "404"),
		emulator.Choice(switchEndedTokenStatus, "status of a resource for an expired or revoked token", "401", "408"),
		emulator.Choice(switchForbiddenStatus, "status of a resource if the user's role does not allow the call", "403", "401"),
		emulator.Integer(switchSessionLimit, "most live sessions; one more ends the oldest; 0 is no limit", sessionLimit),
		emulator.Choice(switchSessionScope, "the limit applies to the whole device, or to each user", "device", "user"),
		emulator.Choice(switchOldestBy, "the oldest session has the earliest issue, the earliest last refresh, or the earliest last use",
			"issue", "refresh", "use"),
		emulator.Choice(switchSlotUntil, "a session counts until its last token expires, or its access token",
			"refresh", "access"),
		emulator.Choice(switchCustomCounts, "custom tokens count as sessions", emulator.Yes, emulator.No),
	}
}

// userSwitches are about users and their logins.
func userSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Integer(switchLockThreshold, "wrong passwords in a row after which all logins of the user are refused; 0 is never", 5),
		emulator.Duration(switchLockDuration, "time for which logins are refused then", time.Minute),
		emulator.Choice(switchLockStatus, `status of "Too many failed attempts"`, "400", "401", "429"),
		emulator.Choice(switchExternalUsers, "external users are objects from their first login on, or never", "objects", "absent"),
		emulator.Choice(switchExternalChange, "a change of an external user is refused with 422, or answered with 200 and no effect on the password",
			"reject", "ignore"),
		emulator.Choice(switchLocalSource, "identitySourceId of local users: the UUID that clients by Cisco use, or the word of the document's example",
			localSourceID, "LOCAL"),
	}
}

// issueSwitches are about issuing tokens.
func issueSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Integer(switchMinimumExpiry, "smallest desired_expires_in in seconds; below it 400", 1),
		emulator.Choice(switchMissingExpiry, "a custom token without desired_expires_in is refused, or lives as long as a login",
			"reject", "default"),
		emulator.Choice(switchAboveMaximum, "a desired lifetime above the maximum is refused with 400, or cut to it",
			"reject", "clamp"),
		emulator.Choice(switchShortRefresh, "a desired_refresh_expires_in that does not exceed desired_expires_in is refused with 400, or accepted",
			"reject", "accept"),
		emulator.Choice(switchMissingCount, "a custom token without desired_refresh_count is refused, or cannot be refreshed",
			"reject", "zero"),
		emulator.Integer(switchMaximumCount, "largest desired_refresh_count, above it 400; 0 is no limit", 0),
		emulator.Choice(switchMissingSubject, "a custom token without desired_subject is refused, or has an empty one",
			"reject", "accept"),
		emulator.Choice(switchSubjectCharacters, "desired_subject allows only letters, digits, '.', '_' and '-', else 400; or all characters",
			"plain", "any"),
		emulator.Integer(switchSubjectLength, "longest desired_subject in bytes, above it 400; 0 is no limit", 128),
		emulator.Choice(switchDuplicateSubject, "a desired_subject of a live custom token is refused with 400, or accepted",
			"reject", "accept"),
		emulator.Choice(switchNoRefreshMembers, "refresh_token and refresh_expires_in of an answer without a refresh token: absent, null, or \"\" and 0",
			"absent", "null", "empty"),
		emulator.Choice(switchPasswordDesired, "desired_expires_in and desired_refresh_expires_in set the lifetimes of a password grant",
			emulator.No, emulator.Yes),
		emulator.Choice(switchWeakRoles, "external users without the administrator role may issue custom tokens and revoke tokens",
			emulator.No, emulator.Yes),
	}
}

// endSwitches are about refreshing, revoking and other ends of sessions.
func endSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchFailedRefresh, "status for a refresh token that is expired, used up, revoked or unknown", "400", "401"),
		emulator.Choice(switchRefreshKills, "a refresh ends the access token that it replaces", emulator.Yes, emulator.No),
		emulator.Choice(switchRefreshReuse, "a refresh token that was used before is refused, or accepted", "reject", "accept"),
		emulator.Choice(switchRevokeUnknownToken, "revoking a token or id that is unknown, expired or revoked: 400, or 200",
			"bad_request", "ok"),
		emulator.Choice(switchRevokeUnknownSubj, "revoking a subject without live tokens: 400, or 200", "bad_request", "ok"),
		emulator.Choice(switchRevokeSubject, "revoking a subject of several tokens ends the oldest token, or all of them", "one", "all"),
		emulator.Choice(switchRevokeToken, "revoking an access or refresh token ends the pair, or that token only", "pair", "token"),
		emulator.Choice(switchParentRevoke, "revoking a login ends the custom tokens that it issued", emulator.No, emulator.Yes),
		emulator.Choice(switchPasswordChange, "a password change ends all sessions of the user, all except custom tokens, or the calling session only",
			"everything", "logins", "own_session"),
		emulator.Choice(switchPasswordPolicy, "complex: a new password that equals the current one, or lacks 8 characters, upper or lower case, a digit or another character, is refused with 422",
			"complex", "none"),
		emulator.Choice(switchRebootKeeps, "tokens survive the action reboot", emulator.Yes, emulator.No),
	}
}

// sessionSwitches are about activeusersessions.
func sessionSwitches() []emulator.Switch {
	return []emulator.Switch{
		emulator.Choice(switchListsCustom, "activeusersessions lists custom tokens", emulator.Yes, emulator.No),
		emulator.Choice(switchCustomName, "userName of a custom token in activeusersessions: the name of its user, or its desired_subject",
			"user", "subject"),
		emulator.Choice(switchSessionID, "the id in activeusersessions is the jti of the tokens", emulator.Yes, emulator.No),
		emulator.Choice(switchSessionDelete, "status of a deleted session", "204", "200"),
		emulator.Choice(switchDefaultSession, `deleting the session "default", whose meaning is not documented, ends all sessions, the caller's, or none with 404`,
			"all", "caller", "none"),
	}
}
